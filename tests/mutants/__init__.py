"""Mutation testing: is there a test that sees it when the code is wrong?"""
