locals {
  has_ollama = var.ollama != null
  launch     = var.enable_gpu ? "EC2" : "FARGATE"
  # The size of a task is the sum of its containers; 1024 CPU units are one core.
  units = floor((var.cpu + (local.has_ollama ? var.ollama.cpu : 0)) * 1024)
  mib   = var.memory + (local.has_ollama ? var.ollama.memory : 0)
  # Memory sizes in GiB that Fargate supports for each number of CPU units (Amazon ECS, "Task definition parameters for
  # Fargate").
  fargate = {
    256   = [0.5, 1, 2]
    512   = range(1, 5)
    1024  = range(2, 9)
    2048  = range(4, 17)
    4096  = range(8, 31)
    8192  = range(16, 61, 4)
    16384 = range(32, 121, 8)
  }
  offered = [for gib in lookup(local.fargate, local.units, []) : gib * 1024]
  # Instances of g5, g6 and g6e have 4 cores per xlarge, and 4 GiB per core (g6e: 8 GiB). The task must fit.
  gpu_size  = split(".", var.gpu_machine_type)
  gpu_cores = 4 * coalesce(one(regexall("^[0-9]+", local.gpu_size[1])), "1")
  gpu_mib   = local.gpu_cores * (local.gpu_size[0] == "g6e" ? 8 : 4) * 1024

  logs = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = split(":", var.log_group_arn)[6]
      "awslogs-region"        = var.region
      "awslogs-stream-prefix" = var.name
    }
  }
  hardened = {
    essential              = true
    readonlyRootFilesystem = true
    logConfiguration       = local.logs
    linuxParameters = {
      initProcessEnabled = false
      capabilities       = { drop = ["ALL"] }
      # The only writable path besides the volumes.
      tmpfs = [{ containerPath = "/tmp", size = 1024 }]
    }
  }
  gpu = { resourceRequirements = [{ type = "GPU", value = "1" }] }

  environment = merge(var.environment_variables, {
    # SQLite cannot lock files on a network file system, so its files are on the container's disk.
    IPYTHONDIR       = "/tmp/ipython"
    JUPYTER_BASE_URL = var.base_url
    JUPYTER_PORT     = tostring(var.port)
    # Containers of a task share the loopback interface.
    OLLAMA_HOST = local.has_ollama ? "http://127.0.0.1:11434" : var.ollama_url
  })
  lab = merge(local.hardened, {
    name         = "lab"
    image        = var.image
    user         = "10001:0"
    command      = ["/opt/lab/bin/jupyter", "lab", "--NotebookNotary.db_file=/tmp/nbsignatures.db"]
    portMappings = [{ containerPort = var.port, protocol = "tcp" }]
    mountPoints  = [{ sourceVolume = "home", containerPath = "/home/devai", readOnly = false }]
    environment  = [for name, value in local.environment : { name = name, value = value }]
    secrets      = [for name, id in var.secrets : { name = name, valueFrom = "${id}:::${var.secret_versions[name]}" }]
    stopTimeout  = 60
    healthCheck  = { command = ["CMD", "healthcheck"], interval = 10, timeout = 5, retries = 3, startPeriod = 60 }
    dependsOn    = [for name in ["ollama"] : { containerName = name, condition = "HEALTHY" } if local.has_ollama]
  }, { for name, value in local.gpu : name => value if var.enable_gpu && !local.has_ollama })
  ollama = local.has_ollama ? [merge(local.hardened, {
    name        = "ollama"
    image       = var.ollama.image
    user        = "10001:0"
    entryPoint  = ["/bin/sh", "-c", file("${path.module}/../ollama.sh"), "ollama"]
    command     = var.ollama.models
    cpu         = floor(var.ollama.cpu * 1024)
    memory      = var.ollama.memory
    mountPoints = [{ sourceVolume = "models", containerPath = "/models", readOnly = false }]
    environment = [
      { name = "HOME", value = "/models" },
      { name = "OLLAMA_MODELS", value = "/models" },
      # The task's loopback interface, which is unreachable from outside.
      { name = "OLLAMA_HOST", value = "127.0.0.1:11434" },
      { name = "OLLAMA_KEEP_ALIVE", value = var.ollama.keep_alive },
    ]
    healthCheck = { command = ["CMD", "ollama", "list"], interval = 10, timeout = 5, retries = 5, startPeriod = 60 }
  }, { for name, value in local.gpu : name => value if var.enable_gpu })] : []
}

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.labels

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "this" {
  #checkov:skip=CKV_AWS_249:the two roles differ, which checkov does not see through modules
  family                   = var.name
  requires_compatibilities = [local.launch]
  network_mode             = "awsvpc"
  cpu                      = local.units
  memory                   = local.mib
  task_role_arn            = var.lab_identity_id
  execution_role_arn       = var.execution_identity_id
  container_definitions    = jsonencode(concat([local.lab], local.ollama))
  tags                     = var.labels

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  dynamic "volume" {
    for_each = { for name, handle in var.volumes : name => split("::", handle)[1] if handle != null }

    content {
      name = volume.key

      efs_volume_configuration {
        file_system_id     = var.file_system
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = volume.value
          iam             = "ENABLED"
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.enable_gpu || contains(local.offered, local.mib)
      error_message = "Fargate does not support ${local.units} CPU units with ${local.mib} MiB, the sum of the task's containers. It supports 256, 512, 1024, 2048, 4096, 8192 or 16384 units; with ${local.units} units, it supports ${jsonencode(local.offered)} MiB."
    }

    precondition {
      condition     = !var.enable_gpu || local.units <= local.gpu_cores * 1024 && local.mib < local.gpu_mib
      error_message = "A ${var.gpu_machine_type} has ${local.gpu_cores} cores and ${local.gpu_mib} MiB, some of it reserved for the system: too little for ${local.units / 1024} cores and ${local.mib} MiB, the sum of the task's containers."
    }
  }
}

# With GPUs, the service has another name, so that Terraform replaces it. A change in place would be a deadlock: the
# service would wait for the cluster to release the capacity provider, and the cluster for the service to stop using it.
resource "aws_ecs_service" "this" {
  name             = var.enable_gpu ? "lab-gpu" : "lab"
  cluster          = aws_ecs_cluster.this.id
  task_definition  = aws_ecs_task_definition.this.arn
  desired_count    = var.min_replicas
  platform_version = var.enable_gpu ? null : "LATEST"
  # Most instances have one GPU, so a second task would wait for a second instance, and forever if the account's quota
  # does not allow one. Therefore the old task is stopped first, like the model server's pod on Kubernetes.
  deployment_minimum_healthy_percent = var.enable_gpu ? 0 : 100
  deployment_maximum_percent         = var.enable_gpu ? 100 : 200
  health_check_grace_period_seconds  = 120
  enable_execute_command             = false
  # The provider requires this for a change of the capacity provider.
  force_new_deployment = true
  propagate_tags       = "SERVICE"
  tags                 = var.labels

  capacity_provider_strategy {
    capacity_provider = var.enable_gpu ? aws_ecs_capacity_provider.gpu[0].name : local.launch
    weight            = 1
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.target_group_arn
    container_name   = "lab"
    container_port   = var.port
  }

  # Apply waits until the new version runs. ECS rolls back after three failed starts, each of which pulls the image.
  wait_for_steady_state = true

  timeouts {
    create = "30m"
    update = "30m"
  }

  lifecycle {
    # Autoscaling sets the number of tasks.
    ignore_changes = [desired_count]

    # A service is also in a steady state after a rollback.
    postcondition {
      condition     = self.task_definition == aws_ecs_task_definition.this.arn
      error_message = "ECS went back to ${self.task_definition}, the previous version."
    }
  }

  depends_on = [aws_ecs_cluster_capacity_providers.this]
}

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.min_replicas
  max_capacity       = var.max_replicas
  tags               = var.labels
}

resource "aws_appautoscaling_policy" "this" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 70
    scale_out_cooldown = 60
    # Scaling in would terminate running kernels.
    disable_scale_in = true

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = concat(["FARGATE"], aws_ecs_capacity_provider.gpu[*].name)
}

# --- GPUs: Fargate has none, so tasks run on EC2 instances with the GPU-optimized AMI of ECS ---

resource "aws_ecs_capacity_provider" "gpu" {
  count = var.enable_gpu ? 1 : 0

  name = "${var.name}-gpu"
  tags = var.labels

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.gpu[0].arn
    managed_termination_protection = "ENABLED"

    managed_scaling {
      status          = "ENABLED"
      target_capacity = 100
    }
  }

  # The cluster must release the capacity provider before its destruction; Terraform ensures this order only with
  # create_before_destroy.
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_autoscaling_group" "gpu" {
  count = var.enable_gpu ? 1 : 0

  name                  = "${var.name}-gpu"
  min_size              = 0
  max_size              = var.max_replicas
  vpc_zone_identifier   = var.subnet_ids
  protect_from_scale_in = true

  launch_template {
    id      = aws_launch_template.gpu[0].id
    version = aws_launch_template.gpu[0].latest_version
  }

  dynamic "tag" {
    # ECS adds the tag AmazonECSManaged; without it here, each plan would remove the tag.
    for_each = merge(var.labels, { AmazonECSManaged = "true", Name = "${var.name}-gpu" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }

  # Instances use this role to report that a task has stopped. Without it, destroying the service would never finish.
  depends_on = [aws_iam_role_policy_attachment.gpu]
}

resource "aws_launch_template" "gpu" {
  count = var.enable_gpu ? 1 : 0

  name                   = "${var.name}-gpu"
  image_id               = "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
  instance_type          = var.gpu_machine_type
  vpc_security_group_ids = [var.security_group_id]
  tags                   = var.labels
  user_data = base64encode(join("\n", [
    "#!/bin/sh",
    "echo ECS_CLUSTER=${aws_ecs_cluster.this.name} >>/etc/ecs/ecs.config",
    "echo ECS_ENABLE_GPU_SUPPORT=true >>/etc/ecs/ecs.config",
    # Tasks have their own network interfaces, to which the hop limit does not apply: block the instance's credentials.
    "echo ECS_AWSVPC_BLOCK_IMDS=true >>/etc/ecs/ecs.config",
  ]))

  iam_instance_profile {
    name = aws_iam_instance_profile.gpu[0].name
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size = 100
      volume_type = "gp3"
      encrypted   = true
    }
  }

  # One hop: containers behind a bridge cannot get the instance's credentials.
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}

resource "aws_iam_role" "gpu" {
  count = var.enable_gpu ? 1 : 0

  name = "${var.name}-gpu"
  tags = var.labels

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "gpu" {
  count = var.enable_gpu ? 1 : 0

  role       = aws_iam_role.gpu[0].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "gpu" {
  count = var.enable_gpu ? 1 : 0

  name = "${var.name}-gpu"
  role = aws_iam_role.gpu[0].name
  tags = var.labels
}
