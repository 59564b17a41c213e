# Thin aliases: each recipe is one `inv` or `nox` call, which can be typed as well. ENV, CLOUD and SET choose the stack:
#   make compose-up ENV=staging SET="ports.lab=8890 gpu.enabled=true"

INV = .venv/bin/inv
NOX = .venv/bin/nox
# Only what stands on make's own command line: ENV, for one, is a variable that shells use.
given = $(if $(filter command,$(firstword $(origin $1))),$($1))
BOOTSTRAP = scripts/bootstrap.sh $(if $(call given,YES),--yes)
STACK = $(addprefix --env=,$(call given,ENV)) $(addprefix --cloud=,$(call given,CLOUD)) $(addprefix --set=,$(call given,SET))

.DEFAULT_GOAL := help

##@ Start
.PHONY: help bootstrap environment doctor up open

help: ## this list
	@if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then bold=$$(printf '\033[1m') plain=$$(printf '\033[0m'); fi; \
	awk -v bold="$$bold" -v plain="$$plain" 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s%s%s\n", bold, substr($$0, 5), plain } \
		/^[a-z0-9 -]+:.*## / { split($$1, names, " "); printf "  make %-18s %s\n", names[1], $$2 } \
		END { print "\nVariables: ENV=dev CLOUD=local SET=\"key=value …\" for the stack, YES=1 to let bootstrap go ahead" }' \
		$(firstword $(MAKEFILE_LIST))

bootstrap: ## install what is missing here: the environment, a container engine
	@$(BOOTSTRAP)

environment:
	@$(BOOTSTRAP) --no-engine

doctor: environment ## what this machine lacks for a stack, and the way to each
	$(INV) doctor $(STACK)

up: bootstrap ## from nothing to a running lab
	$(INV) up $(STACK)

open: environment ## the lab in a browser
	$(INV) open $(STACK)

##@ Look at a stack
.PHONY: status logs plan compose-ps compose-logs compose-config k8s-status k8s-diff k8s-build models-list

status: environment ## what runs where
	$(INV) status $(STACK)

logs: environment ## what the lab says
	$(INV) logs $(STACK)

plan: environment ## what up would change, everywhere
	$(INV) plan $(STACK)

compose-ps: environment ## which services run
	$(INV) compose.ps $(STACK)

compose-logs: environment ## what the services say
	$(INV) compose.logs $(STACK)

compose-config: environment ## the Compose project as Docker sees it
	$(INV) compose.config $(STACK)

k8s-status: environment ## what runs in the cluster
	$(INV) k8s.status $(STACK)

k8s-diff: environment ## what applying would change in the cluster
	$(INV) k8s.diff $(STACK)

k8s-build: environment ## the manifests of a stack
	@$(INV) k8s.build $(STACK)

models-list: bootstrap ## which models are there
	$(INV) models.list $(STACK)

##@ Pause it and end it
.PHONY: stop start down

stop: environment ## compute to zero; data and all else stays
	$(INV) stop $(STACK)

start: bootstrap ## and back
	$(INV) start $(STACK)

down: environment ## the end of the lab; data stays
	$(INV) down $(STACK)

##@ Change what it is made of
.PHONY: config-show config-check config-render config-schema

config-show: environment ## the settings of a stack
	$(INV) config.show $(STACK)

config-check: environment ## mistakes, and what is in vain
	$(INV) config.check $(STACK)

config-render: environment ## the artifacts of a stack
	$(INV) config.render $(STACK)

config-schema: environment ## the schema for editors, the references of keys and tasks
	$(INV) config.schema

##@ Work on this machine
.PHONY: compose-up compose-up-gpu compose-restart compose-shell compose-pull compose-down

compose-up: bootstrap ## start the services
	$(INV) compose.up $(STACK)

compose-up-gpu: bootstrap ## start the services with the GPU
	$(INV) compose.up --gpu $(STACK)

compose-restart: bootstrap ## restart the services
	$(INV) compose.restart $(STACK)

compose-shell: bootstrap ## a shell in the lab
	$(INV) compose.shell $(STACK)

compose-pull: bootstrap ## fetch the images
	$(INV) compose.pull $(STACK)

compose-down: environment ## stop the services; data stays
	$(INV) compose.down $(STACK)

##@ Work in a cloud: ENV=prod
TF = tf-init tf-plan tf-apply tf-destroy
.PHONY: $(foreach verb,$(TF),$(verb)-aws $(verb)-azure $(verb)-gcp)

tf-init-aws tf-init-azure tf-init-gcp: environment ## prepare Terraform for a stack; likewise, as all below, -azure and -gcp
	$(INV) tf.init --cloud=$(@:tf-init-%=%) $(STACK)

tf-plan-aws tf-plan-azure tf-plan-gcp: environment ## show what would change in its cloud
	$(INV) tf.plan --cloud=$(@:tf-plan-%=%) $(STACK)

tf-apply-aws tf-apply-azure tf-apply-gcp: environment ## change it, after a question
	$(INV) tf.apply --cloud=$(@:tf-apply-%=%) $(STACK)

tf-destroy-aws tf-destroy-azure tf-destroy-gcp: environment ## destroy it, but for its data
	$(INV) tf.destroy --cloud=$(@:tf-destroy-%=%) $(STACK)

##@ Work in a cluster: ENV=prod CLOUD=aws
.PHONY: k8s-apply k8s-port-forward k8s-delete

k8s-apply: environment ## bring a stack to its cluster
	$(INV) k8s.apply $(STACK)

k8s-port-forward: environment ## reach the lab in the cluster from here
	$(INV) k8s.port-forward $(STACK)

k8s-delete: environment ## remove a stack from its cluster; data stays
	$(INV) k8s.delete $(STACK)

##@ Images and models
.PHONY: image-build image-build-gpu image-push image-pull image-scan image-sbom image-size image-prune image-lock models-pull

image-build: bootstrap ## build the lab's image
	$(INV) image.build $(STACK)

image-build-gpu: bootstrap ## build the lab's image for the GPU
	$(INV) image.build --gpu $(STACK)

image-push: bootstrap ## push it to the stack's registry: CLOUD=aws|azure|gcp
	$(INV) image.push $(STACK)

image-pull: bootstrap ## bring the one that was pushed
	$(INV) image.pull $(STACK)

image-scan: bootstrap ## what is known against its packages
	$(INV) image.scan $(STACK)

image-sbom: bootstrap ## its bill of materials
	$(INV) image.sbom $(STACK)

image-size: bootstrap ## what takes room in it
	$(INV) image.size $(STACK)

image-prune: bootstrap ## remove images that nobody needs
	$(INV) image.prune $(STACK)

image-lock: environment ## lock what the image installs
	$(INV) image.lock

models-pull: bootstrap ## fetch the configured models
	$(INV) models.pull $(STACK)

##@ Check
.PHONY: check lint test validate validate-real smoke registry cluster fuzz bench

# Without the variables of this make, which tests that call make would inherit.
RUN_SESSIONS = env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS .venv/bin/python scripts/run_sessions.py

check: environment ## what to run before each commit: style, types, unit tests
	@$(RUN_SESSIONS) lint types unit

lint: environment ## style and static checks
	$(NOX) -s lint

# Two at a time: those that wait for containers beside those that compute. The long ones come first, so that neither
# processor is idle at the end; what is cheap and fails most often comes before all of them.
SESSIONS = lint types cluster tests validate smoke registry judges

test: bootstrap ## all that CI runs
	@$(RUN_SESSIONS) $(SESSIONS)

validate: bootstrap ## the artifacts, by the tools that read them
	$(NOX) -s validate

validate-real: bootstrap ## Terraform's roots, by providers built here or in DEVAI_PROVIDER_DIR
	$(NOX) -s validate-real

smoke: bootstrap ## a real stack: started, used, stopped
	$(NOX) -s smoke

registry: bootstrap ## the image to a real registry and back, and the clouds' logins
	$(NOX) -s registry

cluster: bootstrap ## a real Kubernetes: tests on one; WORDS=up, WORDS=down: one to work with
	$(NOX) -s cluster $(if $(call given,WORDS),-- $(WORDS))

fuzz: environment ## thousands of broken configurations
	$(NOX) -s fuzz

bench: environment ## how fast it is
	$(NOX) -s bench
