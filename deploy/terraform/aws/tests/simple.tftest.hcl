# ECS.
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                  = "devai-dev"
  region                = "eu-central-1"
  subnet_ids            = ["private-1", "private-2"]
  security_group_id     = "sg-workload"
  log_group_arn         = "arn:aws:logs:eu-central-1:123456789012:log-group:/devai/devai-dev"
  labels                = { part-of = "devai" }
  port                  = 8888
  base_url              = "/lab/"
  image                 = "registry.example.com/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  cpu                   = 2
  memory                = 4096
  min_replicas          = 1
  max_replicas          = 4
  enable_gpu            = false
  gpu_machine_type      = "g6.xlarge"
  environment_variables = { DEVAI_STACK = "aws-dev" }
  secrets               = { JUPYTER_TOKEN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:token" }
  secret_versions       = { JUPYTER_TOKEN = "11111111-2222" }
  ollama                = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", cpu = 2, memory = 8192 }
  ollama_url            = ""
  lab_identity_id       = "arn:aws:iam::123456789012:role/lab"
  execution_identity_id = "arn:aws:iam::123456789012:role/execution"
  file_system           = "fs-1"
  volumes               = { home = "fs-1::fsap-home", models = "fs-1::fsap-models" }
  target_group_arn      = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/devai-dev/1"
}

run "service" {
  command = plan

  module {
    source = "../modules/compute/aws"
  }

  assert {
    condition     = aws_ecs_task_definition.this.cpu == "4096" && aws_ecs_task_definition.this.memory == "12288"
    error_message = "the task's size must be the sum of its containers, with 1024 units per core"
  }

  assert {
    condition     = alltrue([for container in jsondecode(aws_ecs_task_definition.this.container_definitions) : container.readonlyRootFilesystem && container.linuxParameters.capabilities.drop == ["ALL"] && container.user == "10001:0"])
    error_message = "containers must be hardened"
  }

  assert {
    condition     = [for container in jsondecode(aws_ecs_task_definition.this.container_definitions) : container.name if can(container.portMappings)] == ["lab"]
    error_message = "Ollama must not publish a port"
  }

  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.this.container_definitions)[1].environment, { name = "OLLAMA_HOST", value = "127.0.0.1:11434" })
    error_message = "Ollama must listen on the task's loopback address"
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.this.container_definitions)[0].secrets == [{ name = "JUPYTER_TOKEN", valueFrom = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:token:::11111111-2222" }]
    error_message = "the token must come from the latest version in Secrets Manager"
  }

  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.this.container_definitions)[0].environment, { name = "JUPYTER_BASE_URL", value = "/lab/" })
    error_message = "the lab's base URL must be set"
  }

  assert {
    condition     = alltrue([for volume in aws_ecs_task_definition.this.volume : volume.efs_volume_configuration[0].transit_encryption == "ENABLED" && volume.efs_volume_configuration[0].authorization_config[0].iam == "ENABLED"])
    error_message = "files must be mounted with TLS and the lab's role"
  }

  assert {
    condition     = toset([for volume in aws_ecs_task_definition.this.volume : volume.efs_volume_configuration[0].authorization_config[0].access_point_id]) == toset(["fsap-home", "fsap-models"])
    error_message = "home and models must use their own access points"
  }

  assert {
    condition     = !aws_ecs_service.this.network_configuration[0].assign_public_ip && aws_ecs_service.this.network_configuration[0].security_groups == toset(["sg-workload"])
    error_message = "tasks must have no public address and must use their security group"
  }

  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "a failed deployment must be rolled back"
  }

  assert {
    condition     = aws_ecs_service.this.wait_for_steady_state && aws_ecs_service.this.timeouts.update == "30m"
    error_message = "apply must wait until the new version runs"
  }

  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 1 && aws_appautoscaling_target.this.max_capacity == 4
    error_message = "the number of replicas must be the configured one"
  }

  assert {
    condition     = aws_appautoscaling_policy.this.target_tracking_scaling_policy_configuration[0].disable_scale_in
    error_message = "scaling in must be disabled, because it stops kernels that are in use"
  }

  assert {
    condition     = length(aws_autoscaling_group.gpu) == 0
    error_message = "there must be no EC2 instances without GPUs"
  }
}

run "service_with_gpus" {
  command = plan

  module {
    source = "../modules/compute/aws"
  }

  variables {
    enable_gpu = true
  }

  assert {
    condition     = aws_ecs_task_definition.this.requires_compatibilities == toset(["EC2"]) && aws_launch_template.gpu[0].instance_type == "g6.xlarge"
    error_message = "with GPUs, tasks must run on EC2 instances"
  }

  assert {
    condition     = [for container in jsondecode(aws_ecs_task_definition.this.container_definitions) : try(container.resourceRequirements[0].type, "") == "GPU"] == [false, true]
    error_message = "the model server must have the GPU, and the lab none"
  }

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 0 && aws_ecs_service.this.deployment_maximum_percent == 100 && aws_ecs_service.this.name != "lab" && aws_ecs_service.this.force_new_deployment
    error_message = "a new version must not need a second instance, and the service must be another one than that on Fargate"
  }

  assert {
    condition     = aws_launch_template.gpu[0].metadata_options[0].http_tokens == "required" && aws_launch_template.gpu[0].metadata_options[0].http_put_response_hop_limit == 1
    error_message = "containers must not get the instance's credentials"
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.gpu[0].user_data), "ECS_AWSVPC_BLOCK_IMDS=true")
    error_message = "notebooks must not get the instance's credentials"
  }

  assert {
    condition     = strcontains(aws_launch_template.gpu[0].image_id, "/gpu/")
    error_message = "instances must use the GPU image of ECS"
  }
}

run "instance_type_too_small" {
  command = plan

  module {
    source = "../modules/compute/aws"
  }

  variables {
    enable_gpu = true
    memory     = 8192
  }

  expect_failures = [aws_ecs_task_definition.this]
}

run "fargate_minimum" {
  command = plan

  module {
    source = "../modules/compute/aws"
  }

  variables {
    cpu    = 0.25
    memory = 512
    ollama = null
  }

  assert {
    condition     = aws_ecs_task_definition.this.cpu == "256" && aws_ecs_task_definition.this.memory == "512"
    error_message = "0.25 cores must be 256 CPU units"
  }
}

run "fargate_maximum" {
  command = plan

  module {
    source = "../modules/compute/aws"
  }

  variables {
    cpu    = 16
    memory = 122880
    ollama = null
  }

  assert {
    condition     = aws_ecs_task_definition.this.cpu == "16384" && aws_ecs_task_definition.this.memory == "122880"
    error_message = "16 cores must be 16384 CPU units"
  }
}

run "unsupported_cpu" {
  command = plan

  module {
    source = "../modules/compute/aws"
  }

  variables {
    cpu    = 1.5
    ollama = null
  }

  expect_failures = [aws_ecs_task_definition.this]
}

run "unsupported_memory_for_cpu" {
  command = plan

  module {
    source = "../modules/compute/aws"
  }

  variables {
    memory = 1024
    ollama = null
  }

  expect_failures = [aws_ecs_task_definition.this]
}
