#!/usr/bin/env bash
# From synthetic faces to the table of emotions: a short pretraining, then each of 12 people, whom
# nothing has seen, left out once under three seeds. About 10 minutes on 2 CPU cores.
#   bash launch/recognition.sh          300 steps of pretraining
#   bash launch/recognition.sh 1000     configs/synthetic.py as it is
set -euo pipefail
steps="${1:-300}"
cd "$(dirname "$0")/.."
source launch/environment.sh
install_mubert

out=demo/recognition
draw=(.venv/bin/mubert prepare synthetic --size=112)
echo; echo "1/4  Faces to pretrain on"
"${draw[@]}" --output="$out/faces" --subjects=320 --clips=3 --frames=16

echo; echo "2/4  Twelve strangers with emotions"
"${draw[@]}" --output="$out/labelled" --classes=5 --subjects=12 --clips=8 \
  --first-subject=100000 --conditions lab --align=robust

echo; echo "3/4  Pretraining, $steps steps (configs/synthetic.py)"
.venv/bin/mubert pretrain --config=configs/synthetic.py --workdir="$out/pretrained-$steps" \
  --config.data.path="$out/faces" --config.training.steps="$steps"

recognize() {
  echo; echo "     $1"
  .venv/bin/mubert finetune --config=configs/finetune.py --workdir="$out/$2-$steps" \
    --config.data.path="$out/labelled" --config.training.init_from="$out/pretrained-$steps" \
    "${@:3}"
}
echo; echo "4/4  Recognizing, leaving one subject out (configs/finetune.py)"
recognize "which way each patch moved" displacement
recognize "DMA's calibrated map" map --config.model.recognizer.reads=movement
recognize "to compare: the difference of the frames" difference \
  --config.recognition.features=difference
recognize "to compare: optical flow" flow --config.recognition.features=flow

echo
echo "The reports:"
echo "  $out/displacement-$steps/results.html, and beside it map-, difference-, flow-$steps"
