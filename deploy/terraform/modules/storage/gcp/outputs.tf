output "file_system" {
  description = "IP address of the Filestore instance; for managed containers, the name of the home's bucket."
  value       = local.nfs ? google_filestore_instance.this[0].networks[0].ip_addresses[0] : google_storage_bucket.this["home"].name
}

output "volumes" {
  description = "Volume handle of the home (`home`) for the Filestore CSI driver; for managed containers, the names of the buckets of the home and of the models (`models`). null for models without a volume."
  value = {
    home   = local.nfs ? "modeInstance/${local.location}/${google_filestore_instance.this[0].name}/home" : google_storage_bucket.this["home"].name
    models = try(google_storage_bucket.this["models"].name, null)
  }
}
