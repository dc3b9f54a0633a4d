#!/usr/bin/env bash
# The table of emotions with the weights of the package: 40 strangers, 8 clips each, who each show
# emotions in a way of their own, by 0.2 to 1.5 pixels (at 224), under all nuisances or those that
# nothing was trained for. Everybody is left out once, under three seeds. About 40 minutes on 2 CPU
# cores: 3 a row, and 13 a row of TV-L1.
#   bash launch/recognition.sh            all rows
#   bash launch/recognition.sh p_dma      the rows whose names begin so
set -euo pipefail
rows="${1:-}"
cd "$(dirname "$0")/.."
source launch/environment.sh
install_mubert skimage

out=demo/recognition
if [ ! -d "$out/people" ]; then
  echo; echo "Forty strangers with emotions"
  .venv/bin/mubert prepare synthetic --output="$out/people" --size=112 --classes=5 --subjects=40 \
    --clips=8 --first-subject=100000 --conditions all foreign --individual --amplitude 0.2 1.5 \
    --align=robust
fi

recognize() {
  [[ "$1" == "$rows"* ]] || return 0
  echo; echo "$2"
  .venv/bin/mubert finetune --config=configs/finetune.py --workdir="$out/$1" \
    --config.data.path="$out/people" "${@:3}"
}
recognizer=--config.model.recognizer
untrained=(--config.training.init_from= --config.model.image_size=112 --config.model.dim=128
  --config.model.depth=4)
recognize displacement "how far and which way each part of the face moved (configs/finetune.py)"
recognize displacement-frame "the same of each part of the frame" "$recognizer.places=frame"
recognize p_dma "the displacement that P_dma tells" "$recognizer.reads=dma" \
  "$recognizer.pool=displacement"
recognize p_dma-mean "P_dma, the mean over the patches, as in the paper" "$recognizer.reads=dma"
recognize map "DMA's map" "$recognizer.reads=movement"
recognize untrained-p_dma "the displacement that an untrained P_dma tells" "${untrained[@]}" \
  --config.model.dma.reads=motion "$recognizer.reads=dma" "$recognizer.pool=displacement" \
  "$recognizer.places=frame"
recognize untrained-windows "the displacement between untrained windows of pixels" \
  "${untrained[@]}" --config.model.dma.reads=pixels "$recognizer.places=frame"
for map in farneback tvl1 difference; do
  recognize "$map" "to compare: $map, of each part of the face" --config.recognition.features="$map"
done
recognize farneback-frame "to compare: farneback, of each part of the frame" \
  --config.recognition.features=farneback "$recognizer.places=frame"

echo
if [ -f "$out/p_dma/predictions.csv" ]; then
  compared=("$out/p_dma")
  for run in "$out"/*/; do
    [ -f "$run/predictions.csv" ] && [ "${run%/}" != "$out/p_dma" ] && compared+=("${run%/}")
  done
  .venv/bin/mubert evaluate --compare "${compared[@]}"
fi
echo "The reports: $out/*/results.html"
