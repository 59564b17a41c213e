# Mocked responses of Google Cloud that the tests depend on.
mock_data "google_compute_zones" {
  defaults = { names = ["europe-west1-b", "europe-west1-c", "europe-west1-d"] }
}

mock_data "google_compute_machine_types" {
  defaults = { machine_types = [{ name = "g2-standard-24" }] }
}

mock_resource "google_artifact_registry_repository" {
  defaults = { id = "projects/example-project/locations/europe-west1/repositories/devai-dev" }
}

mock_resource "google_certificate_manager_dns_authorization" {
  defaults = {
    id                  = "projects/example-project/locations/global/dnsAuthorizations/devai-dev"
    dns_resource_record = [{ name = "_acme-challenge.lab.example.com.", type = "CNAME", data = "proof.authorize.certificatemanager.goog." }]
  }
}

mock_resource "google_compute_global_address" {
  defaults = { address = "203.0.113.7" }
}

mock_resource "google_container_cluster" {
  defaults = { workload_identity_config = { workload_pool = "example-project.svc.id.goog" } }
}

mock_resource "google_filestore_instance" {
  defaults = { networks = { ip_addresses = ["10.0.0.2"] } }
}

mock_resource "google_logging_project_bucket_config" {
  defaults = { id = "projects/example-project/locations/europe-west1/buckets/devai-dev" }
}

mock_resource "google_secret_manager_secret" {
  defaults = { id = "projects/example-project/secrets/devai-dev-JUPYTER_TOKEN" }
}

mock_resource "google_service_account" {
  defaults = {
    email  = "devai-dev-lab@example-project.iam.gserviceaccount.com"
    member = "serviceAccount:devai-dev-lab@example-project.iam.gserviceaccount.com"
    name   = "projects/example-project/serviceAccounts/devai-dev-lab@example-project.iam.gserviceaccount.com"
  }
}
