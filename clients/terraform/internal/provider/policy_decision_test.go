package provider

import (
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

func TestAPolicyTokenIsAskedByItsIDWhatItMayDo(t *testing.T) {
	it := theWorld(t)
	run(t, resource.TestStep{Config: with(it, it.Admin, `
resource "tokenward_policy_token" "it" {
  name     = "tf-asked-policy"
  role     = "viewer"
  policy   = "allow if input.request.method == \"GET\""
  generate = true
}
data "tokenward_decision" "reads" {
  policy_token_id = tokenward_policy_token.it.id
  api             = "shop"
  method          = "GET"
  path            = "/invoices"
}
data "tokenward_decision" "writes" {
  policy_token_id = tokenward_policy_token.it.id
  permission      = "invoices:write"
  method          = "POST"
  path            = "/invoices"
  gateway         = true
}
`), Check: resource.ComposeTestCheckFunc(
		resource.TestCheckResourceAttr("data.tokenward_decision.reads", "allowed", "true"),
		resource.TestCheckResourceAttr("data.tokenward_decision.writes", "allowed", "false"),
		resource.TestCheckResourceAttr("data.tokenward_decision.writes", "code", "policy_denied"))})
	for asked, told := range map[string]string{
		"policy_token_id = \"" + made() + "\"\nmethod = \"GET\"\npath = \"/\"":         "never\\s+by\\s+the\\s+text",
		"policy_token_id = \"00000000-0000-7000-8000-000000000000\"":                   "say\\s+its\\s+.method",
		"token_id = \"00000000-0000-7000-8000-000000000000\"\nbody = \"\"":             "goes\\s+with\\s+.policy_token_id",
		"token_id = \"00000000-0000-7000-8000-000000000000\"\npolicy_token_id = \"x\"": "say\\s+whose\\s+decision",
	} {
		run(t, resource.TestStep{Config: with(it, it.Admin, "data \"tokenward_decision\" \"it\" {\n"+asked+"\n}\n"), ExpectError: regexp.MustCompile(told)})
	}
}

func TestAnEndThatComesSoonerIsWrittenBeforeARotation(t *testing.T) {
	at := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, one := range []struct {
		wanted any
		has    *time.Time
		sooner bool
	}{
		{"2027-01-01T00:00:00Z", &at, true},
		{"2027-01-01T00:00:00Z", nil, true},
		{"2027-02-01T00:00:00Z", &at, false},
		{"2027-01-31T12:00:00Z", &at, false},
		{nil, &at, false},
	} {
		fields, is := sooner(api.Fields{"expires_at": one.wanted, "description": "x"}, api.Token{ExpiresAt: one.has})
		if is != one.sooner || is && (fields["expires_at"] != one.wanted || len(fields) != 1) {
			t.Errorf("%v of %v: %v, %v", one.wanted, one.has, fields, is)
		}
	}
}
