locals {
  has_ollama = var.ollama != null
  # Minimum and maximum memory in GiB for each number of cores, for containers with always allocated CPU (Cloud Run,
  # "Configure memory limits").
  offered = { 1 = [0.5, 4], 2 = [0.5, 8], 4 = [2, 16], 6 = [4, 24], 8 = [4, 32] }
  sizes = merge(
    { lab = { cores = var.cpu, mib = var.memory } },
    { for name, size in { ollama = var.ollama } : name => { cores = size.cpu, mib = size.memory } if local.has_ollama },
  )
  refused = [for name, size in local.sizes : "${name}: ${size.cores} cores and ${size.mib} MiB" if !try(
    size.mib >= local.offered[size.cores][0] * 1024 && size.mib <= local.offered[size.cores][1] * 1024, false
  )]
  # The maximum of an instance applies to all its containers together (Cloud Run, "Memory limits").
  total = { cores = sum(values(local.sizes)[*].cores), mib = sum(values(local.sizes)[*].mib) }
  # The GPU is for the model server if there is one, else for the lab. Cloud Run has the L4 in all regions with GPUs.
  gpu_owner   = local.has_ollama ? "ollama" : "lab"
  accelerator = startswith(var.gpu_machine_type, "g2-") ? "nvidia-l4" : null
  limits = { for name, size in local.sizes : name => merge(
    { cpu = tostring(size.cores), memory = "${size.mib}Mi" },
    { for resource in ["nvidia.com/gpu"] : resource => "1" if var.enable_gpu && name == local.gpu_owner },
  ) }

  environment = merge(var.environment_variables, {
    # SQLite cannot lock files on a network file system, so its files are on the container's disk.
    IPYTHONDIR       = "/tmp/ipython"
    JUPYTER_BASE_URL = var.base_url
    JUPYTER_PORT     = tostring(var.port)
    # Containers of an instance share the loopback interface.
    OLLAMA_HOST = local.has_ollama ? "http://127.0.0.1:11434" : var.ollama_url
  })
}

resource "google_cloud_run_v2_service" "this" {
  project  = var.account
  location = var.region
  name     = var.name
  labels   = var.labels
  # Stopping the stack destroys the service, which contains no data; deletion protection would prevent that.
  deletion_protection = false
  # Only the load balancer can connect, and it accepts only the allowed networks; the lab itself requires its token.
  ingress              = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
  invoker_iam_disabled = true

  template {
    service_account                  = var.lab_identity_email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    session_affinity                 = true    # kernels are in the memory of one instance
    timeout                          = "3600s" # the maximum; WebSockets reconnect after an hour
    max_instance_request_concurrency = 250
    labels                           = var.labels
    gpu_zonal_redundancy_disabled    = var.enable_gpu ? true : null

    scaling {
      min_instance_count = var.min_replicas
      max_instance_count = var.max_replicas
    }

    dynamic "node_selector" {
      for_each = var.enable_gpu ? [local.accelerator] : []

      content {
        accelerator = node_selector.value
      }
    }

    containers {
      name  = "lab"
      image = var.image
      args  = ["/opt/lab/bin/jupyter", "lab", "--NotebookNotary.db_file=/tmp/nbsignatures.db"]

      ports {
        container_port = var.port
      }

      resources {
        limits            = local.limits.lab
        cpu_idle          = false # kernels run between requests
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.environment

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = var.secrets

        content {
          name = env.key

          value_source {
            secret_key_ref {
              secret  = env.value
              version = var.secret_versions[env.key]
            }
          }
        }
      }

      volume_mounts {
        name       = "home"
        mount_path = "/home/devai"
      }

      # `/` redirects, and all other paths require the token. With the default timeout of 1 s, a busy lab would be
      # restarted and lose all kernels.
      startup_probe {
        period_seconds    = 5
        timeout_seconds   = 5
        failure_threshold = 24

        http_get {
          path = "${var.base_url}api"
          port = var.port
        }
      }

      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 10
        failure_threshold = 5

        http_get {
          path = "${var.base_url}api"
          port = var.port
        }
      }
    }

    dynamic "containers" {
      for_each = local.has_ollama ? [var.ollama] : []

      content {
        name    = "ollama"
        image   = containers.value.image
        command = ["/bin/sh", "-c", file("${path.module}/../ollama.sh"), "ollama"]
        args    = containers.value.models

        resources {
          limits   = local.limits.ollama
          cpu_idle = false
        }

        dynamic "env" {
          for_each = {
            HOME          = "/models"
            OLLAMA_MODELS = "/models"
            # The instance's loopback interface, which is unreachable from outside.
            OLLAMA_HOST       = "127.0.0.1:11434"
            OLLAMA_KEEP_ALIVE = containers.value.keep_alive
          }

          content {
            name  = env.key
            value = env.value
          }
        }

        volume_mounts {
          name       = "models"
          mount_path = "/models"
        }
      }
    }

    dynamic "volumes" {
      for_each = { for name, bucket in var.volumes : name => bucket if bucket != null }

      content {
        name = volumes.key

        gcs {
          bucket    = volumes.value
          read_only = false
          # By default, root owns all files, but the lab does not run as root. Jupyter requires that only the owner can
          # read its keys.
          mount_options = ["uid=10001", "gid=0", "dir-mode=0700", "file-mode=0700", "implicit-dirs"]
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.refused) == 0
      error_message = "Cloud Run supports 1, 2, 4, 6 or 8 cores with 0.5 to 4, 0.5 to 8, 2 to 16, 4 to 24 or 4 to 32 GiB, not ${join(", ", local.refused)}."
    }

    precondition {
      condition     = local.total.cores <= 8 && local.total.mib <= 32768
      error_message = "A Cloud Run instance supports at most 8 cores and 32 GiB for all its containers together, not ${local.total.cores} and ${local.total.mib} MiB."
    }

    precondition {
      condition     = !var.enable_gpu || try(local.sizes[local.gpu_owner].cores >= 4 && local.sizes[local.gpu_owner].mib >= 16384, false)
      error_message = "Cloud Run's ${coalesce(local.accelerator, "GPU")} needs a container with at least 4 cores and 16 GiB (Google, \"GPU support for services\"). Increase resources.${local.gpu_owner}."
    }
  }
}
