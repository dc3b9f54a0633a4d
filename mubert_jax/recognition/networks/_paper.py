"""The paper whose backbone several networks read."""

REFERENCE = """\
@inproceedings{nguyen2023micronbert,
  author = {Nguyen, Xuan-Bac and Duong, Chi Nhan and Li, Xin and Gauch, Susan and Seo, Han-Seok and
    Luu, Khoa},
  title = {{Micron-BERT}: {BERT}-based Facial Micro-Expression Recognition},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2023},
}
"""
