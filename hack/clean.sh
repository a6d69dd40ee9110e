#!/usr/bin/env bash
# clean.sh FOLDER: removes from a data folder of local mode what local mode made
# there, and the folder when nothing else is in it. A folder without local
# mode's lock file is somebody else's and stays as it is.
set -euo pipefail

folder=${1:?usage: clean.sh FOLDER}
if [[ ! -f $folder/lock ]]; then
  [[ ! -e $folder ]] || echo "$folder is not a data folder of local mode; it stays as it is" >&2
  exit 0
fi
rm -rf -- "${folder:?}"/{engine,engine.lock,secrets,outbox,lock}
rmdir -- "$folder" 2>/dev/null || echo "$folder holds files of others; those stay" >&2
