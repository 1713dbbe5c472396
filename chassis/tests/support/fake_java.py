"""Programs in place of Java and Maven, so that what we do around them is tested where neither is installed."""

from pathlib import Path

JAVA = """\
#!/bin/sh
case "$*" in
  *-version*) echo 'openjdk version "21.0.1" 2023-10-17' >&2; exit 0;;
  *StorageTool*) for last; do [ "$before" = --config ] && settings=$last; before=$last; done
     mkdir -p "$(sed -n s/^log.dirs=//p "$settings")"; exit "${FORMAT_EXITS_WITH:-0}";;
esac
for settings; do :; done
if grep -q ^no.such.setting "$settings"; then
  echo "2026-01-01 00:00:00.000 ERROR Exiting Kafka due to fatal exception (Kafka$)"
  echo "org.apache.kafka.common.config.ConfigException: there is no such setting"
  printf '\\tat kafka.Kafka.main(Kafka.scala)\\n'
  exit 1
fi
echo "2026-01-01 00:00:00.000 INFO [KafkaRaftServer nodeId=1] Kafka Server started (KafkaRaftServer)"
exec sleep 60
"""

MAVEN = """\
#!/bin/sh
echo "$*" >> "$0.calls"
case "$*" in *--offline*) [ -e "$0.is-stocked" ] || exit 1;; esac
if [ -e "$0.is-away" ]; then
  echo "[INFO] looking"; echo "[ERROR] Failed to resolve kafka_2.13"; echo "[ERROR] see"
  exit 1
fi
for argument; do case $argument in -DoutputDirectory=*) folder=${argument#*=};; esac; done
: > "$folder/kafka.jar"
"""


def install(program: str, content: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / program
    path.write_text(content)
    path.chmod(0o755)
    return path
