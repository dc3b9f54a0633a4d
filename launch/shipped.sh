#!/usr/bin/env bash
# Makes the weights that the package carries: people who are drawn, in a lab and outside, then
# configs/motion.py. About 35 minutes on 2 CPU cores; mubert_jax/weights/CARD.md is their card.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/environment.sh
install_mubert

out=demo/shipped
photographs="$out/photographs"
if [ ! -d "$photographs" ]; then
  echo; echo "1/3  Photographs without people, from two packages, for what is behind the faces"
  # scikit-image: CC0 or public domain. scikit-learn: CC BY 2.0, danielbuechele and vultilion.
  wheel="$(mktemp -d)"
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --python-version 3.11 --dest "$wheel" scikit-image==0.26.0
  .venv/bin/python -m zipfile -e "$wheel"/*.whl "$wheel"
  learn="$(.venv/bin/python -c 'import sklearn; print(*sklearn.__path__)')"
  mkdir -p "$photographs.partial"
  cp "$wheel"/skimage/data/{brick,grass,gravel,chelsea,coffee}.png "$wheel"/skimage/data/rocket.jpg \
    "$learn"/datasets/images/{china,flower}.jpg "$photographs.partial"
  mv "$photographs.partial" "$photographs"
  rm -rf "$wheel"
fi

echo; echo "2/3  People in a lab and outside"
.venv/bin/mubert prepare synthetic --output="$out/people" --size=112 --subjects=500 --clips=3 \
  --frames=16 --conditions lab lab lab busy-lab wild wild wild busy-wild --backgrounds="$photographs"

echo; echo "3/3  Pretraining (configs/motion.py)"
.venv/bin/mubert pretrain --config=configs/motion.py --workdir="$out/run" \
  --config.data.path="$out/people"
.venv/bin/mubert export --checkpoint="$out/run" --format=safetensors --output="$out/shipped.safetensors"

echo
echo "Weights: $out/shipped.safetensors"
echo "Next:    .venv/bin/mubert bench perception --checkpoint=$out/shipped.safetensors"
