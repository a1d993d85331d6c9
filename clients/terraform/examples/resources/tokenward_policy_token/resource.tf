resource "tokenward_policy_token" "reader" {
  name     = "reader"
  role     = "viewer"
  policy   = "allow if input.request.method == \"GET\""
  generate = true
}
