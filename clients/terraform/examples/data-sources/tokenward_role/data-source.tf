data "tokenward_role" "viewer" {
  name = "viewer"
}
