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
.PHONY: help bootstrap environment up down

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 } END { print "\nVariables: ENV=dev CLOUD=local SET=\"key=value …\" for the stack, YES=1 to let bootstrap go ahead" }' $(firstword $(MAKEFILE_LIST))

bootstrap: ## install what is missing here: the environment, a container engine
	@$(BOOTSTRAP)

environment:
	@$(BOOTSTRAP) --no-engine

up: bootstrap ## from nothing to a running lab
	$(INV) up $(STACK)

down: environment ## stop the lab; data stays
	$(INV) down $(STACK)

##@ Compose
.PHONY: compose-up compose-up-gpu compose-down compose-restart compose-logs compose-ps compose-shell compose-pull compose-config

compose-up: bootstrap ## start the services
	$(INV) compose.up $(STACK)

compose-up-gpu: bootstrap ## start the services with the GPU
	$(INV) compose.up --gpu $(STACK)

compose-down: environment ## stop the services; data stays
	$(INV) compose.down $(STACK)

compose-restart: bootstrap ## restart the services
	$(INV) compose.restart $(STACK)

compose-logs: environment ## what the services say
	$(INV) compose.logs $(STACK)

compose-ps: environment ## which services run
	$(INV) compose.ps $(STACK)

compose-shell: bootstrap ## a shell in the lab
	$(INV) compose.shell $(STACK)

compose-pull: bootstrap ## fetch the images
	$(INV) compose.pull $(STACK)

compose-config: environment ## the Compose project as Docker sees it
	$(INV) compose.config $(STACK)

##@ Images
.PHONY: image-build image-build-gpu image-lock

image-build: bootstrap ## build the lab's image
	$(INV) image.build $(STACK)

image-build-gpu: bootstrap ## build the lab's image for the GPU
	$(INV) image.build --gpu $(STACK)

image-lock: environment ## lock what the image installs
	$(INV) image.lock

##@ Models
.PHONY: models-pull models-list

models-pull: bootstrap ## fetch the configured models
	$(INV) models.pull $(STACK)

models-list: bootstrap ## which models are there
	$(INV) models.list $(STACK)

##@ Configuration
.PHONY: config-show

config-show: environment ## the settings of a stack
	$(INV) config.show $(STACK)

##@ Checks
.PHONY: test lint smoke bench validate

test: bootstrap ## all that CI runs
	$(NOX) -s lint types tests validate judges smoke

lint: environment ## style and static checks
	$(NOX) -s lint

validate: bootstrap ## the artefacts, by the tools that read them
	$(NOX) -s validate

smoke: bootstrap ## a real stack: started, used, stopped
	$(NOX) -s smoke

bench: environment ## how fast it is
	$(NOX) -s bench
