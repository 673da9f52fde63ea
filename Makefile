# make iso builds everything from source; make test checks it. Both set up what they need. make help lists the rest.
RUN := tools/run
PHOTONBUILD := $(RUN) python -m photonbuild
PYTEST := $(RUN) python -m pytest
# ARGS goes to what was asked for: to pytest, not to the images that its tests need.
IMAGE_ARGS = $(if $(filter test% boot start,$(MAKECMDGOALS)),,$(ARGS))

# One image for each file.
IMAGES := $(patsubst build/images/%.yaml,%,$(sort $(wildcard build/images/*.yaml)))

# What the boot tests start.
BOOTED := iso qcow2 oci pico

FUZZ_SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: $(IMAGES) images repo test test-matrix test-cluster lint unit native integration boot start fuzz clean help

$(IMAGES): ## that image and every package in it: build/images/NAME.yaml; SSH_KEY=FILE lets that key in; PROFILE=NAME for other packages
	$(PHOTONBUILD) image $@ $(if $(PROFILE),--profile '$(PROFILE)') $(if $(SSH_KEY),--ssh-key '$(SSH_KEY)') $(IMAGE_ARGS)

# The live images and the kernel of containers are made for their own profiles; nobody logs in to the latter.
iso netboot pico: override PROFILE :=
pico: override SSH_KEY :=

images: $(IMAGES) ## all of them

repo: ## every package, and the signed repository of them: stage/publication; KEY=NAME signs by that key of yours
	$(PHOTONBUILD) repo sign $(if $(KEY),--key '$(KEY)') $(ARGS)

test: ## lint, unit, native, integration and boot tests
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory unit
	$(MAKE) --no-print-directory native
	$(MAKE) --no-print-directory ARGS= $(BOOTED)
	$(MAKE) --no-print-directory start
	@echo "integration and boot tests run side by side, a quarter of an hour; what each says comes when it ends"
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target integration boot

lint: ## ruff, mypy --strict, clang-format; gofmt, go vet, staticcheck and gcc's analyzer of the build seed
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) clang-format --dry-run -Werror $(wildcard src/*/*.c src/*/*.h)
	$(PYTEST) tests/native/test_lint.py

unit: ## tests without root, network or tools: seconds
	$(PYTEST) tests/unit -n auto --maxprocesses 8 $(ARGS)

native: ## the tests of the programs in src/ with the build seed's Go and gcc: a minute
	$(PYTEST) tests/native --ignore tests/native/test_lint.py $(ARGS)

integration: ## real tools on small packages: minutes
	$(PYTEST) tests/integration -m 'not long' $(ARGS)

boot: $(BOOTED) ## boot the ISO and the disk image in QEMU, run containers as machines, check them from inside and outside
	$(PYTEST) tests/boot tests/pico --ignore tests/boot/test_start.py -m 'not long' $(ARGS)

start: $(BOOTED) ## the ISO is up in time, with nothing beside it
	$(PYTEST) tests/boot/test_start.py $(ARGS)

test-matrix: images ## boot every image, install from every kickstart, kill 50 builds, then make fuzz: an hour and more
	$(PYTEST) tests/matrix -n auto --dist worksteal $(ARGS)
	$(PYTEST) tests/integration tests/boot tests/pico -m long $(ARGS)
	$(PYTEST) tests/integration/test_faults_kill.py --kills 50 $(ARGS)
	$(MAKE) --no-print-directory test-cluster
	$(MAKE) --no-print-directory fuzz

test-cluster: qcow2 oci ## remote execution: Buildbarn from its Go modules, workers here, in a machine and in its Docker, and what may befall them; root
	$(PYTEST) tests/cluster --ignore tests/cluster/test_failures.py $(ARGS)
	$(PYTEST) tests/cluster/test_failures.py -n 3 $(ARGS)

fuzz: ## every parser of what a guest, an image, a spec or the network wrote: ten minutes each, or FUZZ_SECONDS=N
	$(PYTEST) tests/native/test_fuzz.py --fuzz-seconds $(FUZZ_SECONDS) $(ARGS)
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(PYTEST) $(wildcard tests/unit/*/fuzz) -n auto $(ARGS)

clean: ## remove what this checkout holds; the store, shared between checkouts, stays
	rm -rf stage .mypy_cache .pytest_cache .ruff_cache

help: ## this list
	@sed -n 's/^[$$](IMAGES):/$(IMAGES):/; s/^\([a-z0-9 -]*\):[^#]*## /\1\t/p' Makefile | expand -t 48
