# Short aliases: each recipe is one call of `inv` or `nox`. ENV, CLOUD and SET select the stack:
#   make compose-up ENV=staging SET="ports.lab=8890 gpu.enabled=true"

INV = .venv/bin/inv
NOX = .venv/bin/nox
# Use variables from make's command line only: shells set ENV, for example, for other purposes.
given = $(if $(filter command,$(firstword $(origin $1))),$($1))
BOOTSTRAP = scripts/bootstrap.sh $(if $(call given,YES),--yes)
STACK = $(addprefix --env=,$(call given,ENV)) $(addprefix --cloud=,$(call given,CLOUD)) $(addprefix --set=,$(call given,SET))

.DEFAULT_GOAL := help

##@ Start
.PHONY: help bootstrap environment doctor up open

help: ## show this list
	@if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then bold=$$(printf '\033[1m') plain=$$(printf '\033[0m'); fi; \
	awk -v bold="$$bold" -v plain="$$plain" 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s%s%s\n", bold, substr($$0, 5), plain } \
		/^[a-z0-9 -]+:.*## / { split($$1, names, " "); printf "  make %-18s %s\n", names[1], $$2 } \
		END { print "\nVariables: ENV=dev CLOUD=local SET=\"key=value …\" for the stack, YES=1 to bootstrap without asking" }' \
		$(firstword $(MAKEFILE_LIST))

bootstrap: ## install the Python environment and a container engine if missing
	@$(BOOTSTRAP)

environment:
	@$(BOOTSTRAP) --no-engine

doctor: environment ## show what is missing on this machine for a stack, and how to install it
	$(INV) doctor $(STACK)

up: bootstrap ## create or update a stack until the lab runs
	$(INV) up $(STACK)

open: environment ## open the lab in a browser
	$(INV) open $(STACK)

##@ Inspect a stack
.PHONY: status logs plan compose-ps compose-logs compose-config k8s-status k8s-diff k8s-build models-list

status: environment ## show what runs where
	$(INV) status $(STACK)

logs: environment ## show the lab's logs
	$(INV) logs $(STACK)

plan: environment ## show what up would change
	$(INV) plan $(STACK)

compose-ps: environment ## show the services
	$(INV) compose.ps $(STACK)

compose-logs: environment ## show the services' logs
	$(INV) compose.logs $(STACK)

compose-config: environment ## show the resolved Compose configuration
	$(INV) compose.config $(STACK)

k8s-status: environment ## show the workloads in the cluster
	$(INV) k8s.status $(STACK)

k8s-diff: environment ## show what k8s-apply would change in the cluster
	$(INV) k8s.diff $(STACK)

k8s-build: environment ## print the manifests of a stack
	@$(INV) k8s.build $(STACK)

models-list: bootstrap ## list the installed models
	$(INV) models.list $(STACK)

##@ Stop and remove a stack
.PHONY: stop start down

stop: environment ## scale compute to zero; keep data and everything else
	$(INV) stop $(STACK)

start: bootstrap ## start a stopped stack again
	$(INV) start $(STACK)

down: environment ## remove the stack; keep data
	$(INV) down $(STACK)

##@ Configuration
.PHONY: config-show config-check config-render config-schema

config-show: environment ## show the settings of a stack
	$(INV) config.show $(STACK)

config-check: environment ## report errors and settings without effect
	$(INV) config.check $(STACK)

config-render: environment ## write the artifacts of a stack
	$(INV) config.render $(STACK)

config-schema: environment ## write the JSON schema and the references of keys and tasks
	$(INV) config.schema

##@ Docker Compose on this machine
.PHONY: compose-up compose-up-gpu compose-restart compose-shell compose-pull compose-down

compose-up: bootstrap ## start the services
	$(INV) compose.up $(STACK)

compose-up-gpu: bootstrap ## start the services with the GPU
	$(INV) compose.up --gpu $(STACK)

compose-restart: bootstrap ## restart the services
	$(INV) compose.restart $(STACK)

compose-shell: bootstrap ## open a shell in the lab
	$(INV) compose.shell $(STACK)

compose-pull: bootstrap ## pull the images
	$(INV) compose.pull $(STACK)

compose-down: environment ## remove the services; keep data
	$(INV) compose.down $(STACK)

##@ Terraform: ENV=prod
TF = tf-init tf-plan tf-apply tf-destroy
.PHONY: $(foreach verb,$(TF),$(verb)-aws $(verb)-azure $(verb)-gcp)

tf-init-aws tf-init-azure tf-init-gcp: environment ## initialize Terraform for a stack; also -azure and -gcp, as below
	$(INV) tf.init --cloud=$(@:tf-init-%=%) $(STACK)

tf-plan-aws tf-plan-azure tf-plan-gcp: environment ## show what would change in the cloud
	$(INV) tf.plan --cloud=$(@:tf-plan-%=%) $(STACK)

tf-apply-aws tf-apply-azure tf-apply-gcp: environment ## apply the changes after confirmation
	$(INV) tf.apply --cloud=$(@:tf-apply-%=%) $(STACK)

tf-destroy-aws tf-destroy-azure tf-destroy-gcp: environment ## destroy the stack except for its data
	$(INV) tf.destroy --cloud=$(@:tf-destroy-%=%) $(STACK)

##@ Kubernetes: ENV=prod CLOUD=aws
.PHONY: k8s-apply k8s-port-forward k8s-delete

k8s-apply: environment ## deploy a stack to its cluster
	$(INV) k8s.apply $(STACK)

k8s-port-forward: environment ## forward a local port to the lab in the cluster
	$(INV) k8s.port-forward $(STACK)

k8s-delete: environment ## remove a stack from its cluster; keep data
	$(INV) k8s.delete $(STACK)

##@ Images and models
.PHONY: image-build image-build-gpu image-push image-pull image-scan image-sbom image-size image-prune image-lock models-pull

image-build: bootstrap ## build the lab's image
	$(INV) image.build $(STACK)

image-build-gpu: bootstrap ## build the lab's image for the GPU
	$(INV) image.build --gpu $(STACK)

image-push: bootstrap ## push the image to the stack's registry: CLOUD=aws|azure|gcp
	$(INV) image.push $(STACK)

image-pull: bootstrap ## pull the pushed image
	$(INV) image.pull $(STACK)

image-scan: bootstrap ## scan the image's packages for known vulnerabilities
	$(INV) image.scan $(STACK)

image-sbom: bootstrap ## write the image's SBOM
	$(INV) image.sbom $(STACK)

image-size: bootstrap ## show what takes space in the image
	$(INV) image.size $(STACK)

image-prune: bootstrap ## remove unused images
	$(INV) image.prune $(STACK)

image-lock: environment ## lock the versions that the image installs
	$(INV) image.lock

models-pull: bootstrap ## pull the configured models
	$(INV) models.pull $(STACK)

##@ Check
.PHONY: check lint test validate validate-real smoke registry cluster fuzz bench

# Without the variables of this make, which tests that call make would inherit.
RUN_SESSIONS = env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS .venv/bin/python scripts/run_sessions.py

check: environment ## what to run before each commit: style, types, unit tests
	@$(RUN_SESSIONS) lint types unit

lint: environment ## check style and imports
	$(NOX) -s lint

# Three sessions run at a time on two processors, because some wait for containers. Quick sessions that fail most often
# come first, then the long ones, so that no processor is idle at the end.
SESSIONS = lint types cluster smoke validate tests registry lint-files

test: bootstrap ## all that CI runs
	@$(RUN_SESSIONS) --jobs=3 $(SESSIONS)

validate: bootstrap ## validate the artifacts with the tools that read them
	$(NOX) -s validate

validate-real: bootstrap ## validate Terraform with real providers, built or in DEVAI_PROVIDER_DIR
	$(NOX) -s validate-real

smoke: bootstrap ## start, use and stop a real stack
	$(NOX) -s smoke

registry: bootstrap ## push and pull with a real registry; test the clouds' logins
	$(NOX) -s registry

cluster: bootstrap ## test on a real Kubernetes; WORDS=up, WORDS=down: start or stop a cluster
	$(NOX) -s cluster $(if $(call given,WORDS),-- $(WORDS))

fuzz: environment ## test with thousands of broken configurations
	$(NOX) -s fuzz

bench: environment ## run benchmarks
	$(NOX) -s bench
