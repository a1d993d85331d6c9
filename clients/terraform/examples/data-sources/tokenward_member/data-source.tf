data "tokenward_member" "owner" {
  email = "owner@acme.example"
}
