resource "tokenward_organization" "acme" {
  name        = "Acme"
  description = "Sells what there is."
  website_url = "https://acme.example"
}
