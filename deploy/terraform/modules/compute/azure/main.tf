locals {
  has_ollama = var.ollama != null
  cores      = var.cpu + (local.has_ollama ? var.ollama.cpu : 0)
  gib        = (var.memory + (local.has_ollama ? var.ollama.memory : 0)) / 1024

  registry = split("/", var.image)[0]
  # The URL of each secret, from its resource ID /subscriptions/…/vaults/VAULT/secrets/NAME.
  secrets = { for name, id in var.secrets : name => "https://${split("/", id)[8]}.vault.azure.net/secrets/${split("/", id)[10]}" }

  environment = merge(var.environment_variables, {
    AZURE_CLIENT_ID = var.lab_identity_client_id
    SECRETS         = jsonencode(local.secrets)
    # Not read by the lab: a new version replaces the container group, which then fetches the secrets again.
    SECRET_VERSIONS = jsonencode(var.secret_versions)
    # SQLite cannot lock files on a network file system, so its files are on the container's disk.
    IPYTHONDIR       = "/tmp/ipython"
    JUPYTER_BASE_URL = var.base_url
    JUPYTER_PORT     = tostring(var.port)
    # SMB has no file modes, so Jupyter would otherwise refuse to write its keys.
    JUPYTER_ALLOW_INSECURE_WRITES = "true"
    # Containers of a group share the loopback interface.
    OLLAMA_HOST = local.has_ollama ? "http://127.0.0.1:11434" : var.ollama_url
  })
}

resource "azurerm_container_group" "this" {
  #checkov:skip=CKV_AZURE_235:the environment contains no secrets; the lab fetches them when it starts
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  os_type             = "Linux"
  restart_policy      = "Always"
  ip_address_type     = "Private"
  subnet_ids          = [var.subnet_id]
  tags                = var.labels

  identity {
    type         = "UserAssigned"
    identity_ids = distinct([var.lab_identity_id, var.execution_identity_id])
  }

  image_registry_credential {
    server                    = local.registry
    user_assigned_identity_id = var.execution_identity_id
  }

  exposed_port {
    port     = var.port
    protocol = "TCP"
  }

  container {
    name                  = "lab"
    image                 = var.image
    cpu                   = var.cpu
    memory                = floor(var.memory / 1024 * 10) / 10
    commands              = ["/usr/bin/python3", "-c", file("${path.module}/start.py"), "entrypoint", "/opt/lab/bin/jupyter", "lab", "--NotebookNotary.db_file=/tmp/nbsignatures.db"]
    environment_variables = local.environment

    ports {
      port     = var.port
      protocol = "TCP"
    }

    volume {
      name                 = "home"
      mount_path           = "/home/devai"
      share_name           = var.volumes.home
      storage_account_name = var.file_system
      storage_account_key  = var.storage_key
    }

    readiness_probe {
      exec           = ["healthcheck"]
      period_seconds = 10
    }

    liveness_probe {
      exec                  = ["healthcheck"]
      initial_delay_seconds = 180 # the lab first waits for its identity and fetches its secrets
      period_seconds        = 30
      failure_threshold     = 5
    }
  }

  dynamic "container" {
    for_each = local.has_ollama ? [var.ollama] : []

    content {
      name     = "ollama"
      image    = container.value.image
      cpu      = container.value.cpu
      memory   = floor(container.value.memory / 1024 * 10) / 10
      commands = concat(["/bin/sh", "-c", file("${path.module}/../ollama.sh"), "ollama"], container.value.models)
      environment_variables = {
        HOME          = "/models"
        OLLAMA_MODELS = "/models"
        # The container group's loopback interface, which is unreachable from outside.
        OLLAMA_HOST       = "127.0.0.1:11434"
        OLLAMA_KEEP_ALIVE = container.value.keep_alive
      }

      volume {
        name                 = "models"
        mount_path           = "/models"
        share_name           = var.volumes.models
        storage_account_name = var.file_system
        storage_account_key  = var.storage_key
      }

      liveness_probe {
        exec                  = ["ollama", "list"]
        initial_delay_seconds = 60
        period_seconds        = 30
        failure_threshold     = 5
      }
    }
  }

  lifecycle {
    precondition {
      condition     = !var.enable_gpu
      error_message = "Container Instances no longer has GPUs. Set compute.platform to kubernetes to use ${var.gpu_machine_type}."
    }

    precondition {
      condition     = var.min_replicas == 1 && var.max_replicas == 1
      error_message = "A container group runs exactly one lab. Set compute.replicas to 1, or compute.platform to kubernetes."
    }

    precondition {
      condition     = local.cores >= 1 && local.cores <= 4 && local.gib >= 1 && local.gib <= 16
      error_message = "A container group supports 1 to 4 cores and 1 to 16 GiB in all regions (Azure, \"Resource availability and quota limits for ACI\"), not ${local.cores} cores and ${local.gib} GiB."
    }
  }
}

resource "azurerm_private_dns_a_record" "this" {
  name                = "lab"
  private_dns_zone_id = var.private_dns_zone_id
  ttl                 = 10
  records             = [azurerm_container_group.this.ip_address]
  tags                = var.labels
}
