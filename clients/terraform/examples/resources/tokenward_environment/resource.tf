resource "tokenward_project" "shop" {
  name = "shop"
}

resource "tokenward_cluster" "paris" {
  name           = "paris"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}

resource "tokenward_environment" "staging" {
  project_id = tokenward_project.shop.id
  cluster_id = tokenward_cluster.paris.id
  name       = "staging"
  mode       = "STAGING"
}
