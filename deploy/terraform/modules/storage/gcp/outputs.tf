output "file_system" {
  description = "The file system: Filestore's address; on the simple platform the home's bucket."
  value       = local.nfs ? google_filestore_instance.this[0].networks[0].ip_addresses[0] : google_storage_bucket.this["home"].name
}

output "volumes" {
  description = "What a volume names: the share as Filestore's driver writes it; on the simple platform the bucket."
  value = {
    home   = local.nfs ? "modeInstance/${local.location}/${google_filestore_instance.this[0].name}/home" : google_storage_bucket.this["home"].name
    models = try(google_storage_bucket.this["models"].name, null)
  }
}
