# `make` alone prints what there is. Everything runs in .venv, made by `make setup` from requirements.lock.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
SERVICES := auth-service order-service inventory-service payment-service
FOLDERS := embedded-kafka chassis config-server discovery-server gateway $(SERVICES) fleet
STAMP := $(VENV)/.installed

# A Python of 3.11 or newer: $(PYTHON) if it was given, else the first one found that runs.
define find_python
	python=""; for candidate in $${PYTHON:-python3 python3.13 python3.12 python3.11}; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Flotilla needs Python 3.11 or newer: install it, or name it with 'make PYTHON=/path/to/python3 ...'." >&2; exit 1; fi
endef

.PHONY: help setup up demo down status clean logs env test check lint types imports contracts configuration generate generated lock \
  chaos test-browser screenshot test-alerts test-kafka conformance-kafka conformance-eureka conformance-prometheus crash-kafka partitions bench-kafka bench-config bench-discovery \
  $(FOLDERS:%=test-%)

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort -u | awk -F':.*## ' '{printf "  make %-22s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with everything in requirements.lock

$(STAMP): requirements.lock $(FOLDERS:%=%/pyproject.toml)
	@$(find_python); \
	if ! "$$python" -m venv $(VENV) >.venv.log 2>&1; then \
	  echo "'$$python -m venv' failed; on Debian and Ubuntu its package is python3-venv:" >&2; tail -3 .venv.log >&2; rm -f .venv.log; exit 1; fi; rm -f .venv.log
	@awk '/^uv==/ {found = 1} found {print; if ($$0 !~ /\\$$/) exit}' requirements.lock > $(VENV)/uv.lock.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(FOLDERS:%=-e ./%)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q $(FOLDERS:%=%/src)
	@touch $(STAMP)

up: setup ## start the fleet, show three orders going through, leave it running
	@$(BIN)/fleet up --demo

demo: setup ## three orders through the running fleet
	@$(BIN)/fleet demo

status: setup ## what runs where
	@$(BIN)/fleet status

env: setup ## the running fleet's addresses as shell exports
	@$(BIN)/fleet env

logs: setup ## the fleet's logs (SERVICE=order-service for one)
	@$(BIN)/fleet logs $(SERVICE)

down: setup ## stop the fleet
	@$(BIN)/fleet down

clean: ## stop the fleet and forget its data
	@if [ -x $(BIN)/fleet ]; then $(BIN)/fleet down; fi
	@rm -rf .run

test: setup ## every folder's tests, one after the other
	@set -e; for folder in $(FOLDERS); do echo "== $$folder"; $(MAKE) --no-print-directory -C $$folder test; done

check: setup lint types imports generated contracts configuration ## everything CI checks besides the tests

lint: setup ## ruff, on the whole tree
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup ## mypy --strict, folder by folder
	@set -e; for folder in $(FOLDERS); do echo "== mypy $$folder"; $(MAKE) --no-print-directory -C $$folder types; done
	@$(BIN)/mypy --strict observability/generate.py

imports: setup ## import-linter: imports go down only
	@set -e; for folder in $(FOLDERS); do $(MAKE) --no-print-directory -C $$folder check-imports; done

contracts: setup ## what services say against what others hear
	@$(BIN)/python -m fleet.contracts

configuration: setup ## config-files, read as config-server reads them
	@$(BIN)/config-server check config-files

generate: setup ## make anew what is generated: event schemas, AsyncAPI, dashboards
	@set -e; for service in $(SERVICES); do $(BIN)/python -m chassis.contracts $${service//-/_} $$service; done
	@$(BIN)/python -m fleet.asyncapi
	@$(BIN)/python observability/generate.py
	@$(SETTINGS_SCHEMAS)
SETTINGS_SCHEMAS = $(BIN)/python -m chassis.settings_schema auth_service order_service inventory_service payment_service gateway \
  discovery_server config-files/.schemas

generated: setup # nothing that is generated is stale
	@$(BIN)/python -m fleet.asyncapi --check
	@$(BIN)/python observability/generate.py --check
	@$(SETTINGS_SCHEMAS) --check

test-kafka: setup ## Apache Kafka itself, alone and in the fleet (needs Java 17 and Maven)
	@$(BIN)/python -m chassis.local_kafka --address-in KAFKA -- true # says in a sentence what is missing
	@cd chassis && $(abspath $(BIN))/pytest -q tests/real_kafka.py
	@cd fleet && $(abspath $(BIN))/pytest -q tests/real_kafka.py

# Besides what chassis.local_kafka sets: a crashed member is found, and retention comes round, before a test gives up.
CONFORMANCE_SETTINGS := group.min.session.timeout.ms=500 log.retention.check.interval.ms=200 log.initial.task.delay.ms=100
conformance-kafka: setup ## the embedded broker's conformance suite against Apache Kafka (needs Java 17 and Maven)
	@cd embedded-kafka && $(abspath $(BIN))/python -m chassis.local_kafka $(CONFORMANCE_SETTINGS:%=--set %) \
	  --address-in CONFORMANCE_BOOTSTRAP -- $(abspath $(BIN))/pytest -q tests/conformance

conformance-eureka: setup ## discovery-server beside the real Eureka: answers, Java client, peer (needs Java 17 and Maven)
	@cd discovery-server && $(abspath $(BIN))/python -m conformance.java_programs # says in a sentence what is missing
	@cd discovery-server && $(abspath $(BIN))/pytest -q conformance --ignore conformance/test_prometheus.py

conformance-prometheus: setup ## a real Prometheus finds what is registered in discovery-server (needs Prometheus)
	@cd discovery-server && $(abspath $(BIN))/pytest -q conformance/test_prometheus.py

chaos: setup ## 200 orders while services are killed 20 times, and then the books
	@cd fleet && FLEET_CHAOS_ORDERS=200 FLEET_CHAOS_KILLS=20 $(abspath $(BIN))/pytest -q -s tests/test_chaos.py

crash-kafka: setup ## the embedded broker killed 200 times under load, with seeds to replay (CRASH_SEEDS=17,4)
	@cd embedded-kafka && CRASH_ROUNDS=$${CRASH_ROUNDS:-50} $(abspath $(BIN))/pytest -q -s tests/test_crash.py -k once

partitions: setup ## three discovery-servers, 200 rounds of cut ways and restarts, with seeds to replay (PARTITION_SEEDS=17,4)
	@cd discovery-server && PARTITION_ROUNDS=$${PARTITION_ROUNDS:-200} $(abspath $(BIN))/pytest -q tests/test_partitions.py

bench-kafka: setup ## the embedded broker beside Apache Kafka: throughput, latency, memory (needs Java 17 and Maven)
	@cd embedded-kafka && $(abspath $(BIN))/python -m bench $(ARGS)

bench-config: setup ## config-server beside Spring Cloud Config: reads, start, memory (Java 17 and Maven, or ARGS="--only ours")
	@cd config-server && $(abspath $(BIN))/python -m bench $(ARGS)

test-browser: setup ## discovery-server's pages in a real browser (needs Chromium)
	@$(MAKE) --no-print-directory -C discovery-server test-browser

screenshot: setup ## the dashboard of the running fleet, into docs/pictures (needs Chromium)
	@$(MAKE) --no-print-directory -C discovery-server screenshot

bench-discovery: setup ## discovery-server beside Spring's Eureka, 10,000 instances: renewals, reads, memory, how soon news is there
	@cd discovery-server && $(abspath $(BIN))/python -m bench $(ARGS)

test-alerts: setup ## Prometheus' rules and Alertmanager's routes, with promtool and amtool
	@observability/test-alerts

$(FOLDERS:%=test-%): test-%: setup
	@$(MAKE) --no-print-directory -C $* test

lock: setup ## resolve requirements.lock anew from the folders' pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate \
	  --all-extras $(LOCAL:%=--no-emit-package %) $(FOLDERS:%=%/pyproject.toml) -o requirements.lock
LOCAL := flotilla-chassis embedded-kafka config-server discovery-server fleet-gateway $(SERVICES) flotilla-fleet
