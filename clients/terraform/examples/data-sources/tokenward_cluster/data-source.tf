resource "tokenward_cluster" "paris" {
  name           = "paris"
  region         = "eu-west-3"
  cloud_provider = "AWS"
}

data "tokenward_cluster" "paris" {
  name = tokenward_cluster.paris.name
}
