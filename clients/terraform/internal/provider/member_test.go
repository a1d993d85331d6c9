package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
)

// accept accepts an invitation by its link, as a new person.
func accept(t testing.TB, it world, link string) {
	t.Helper()
	parts := strings.Split(link, "/")
	if len(parts) < 2 {
		t.Fatalf("%q is no link of an invitation", link)
	}
	body, err := json.Marshal(map[string]string{"secret": parts[len(parts)-1], "name": "Ada", "password": "a long password of Ada's"})
	must(t, err)
	answer, err := http.Post(it.URL+"/organization/"+it.Organization+"/inviteMember/"+parts[len(parts)-2], "application/json", bytes.NewReader(body))
	must(t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("the invitation is answered %s", answer.Status)
	}
}

func TestAMemberWhoHasAcceptedIsTheSameOneWithoutALink(t *testing.T) {
	it := theWorld(t)
	const member = "tokenward_member.it"
	config := func(email, role, more string) string {
		return with(it, it.Admin, fmt.Sprintf("resource \"tokenward_member\" \"it\" {\n  email = %q\n  role  = %q\n}\n", email, role)+more)
	}
	link := ""
	inPlace := resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction(member, plancheck.ResourceActionUpdate)}}
	run(t,
		resource.TestStep{Config: config("Accepts@acme.example", "viewer", ""), Check: func(state *terraform.State) error {
			link = attribute(state, member, "invitation_link")
			return nil
		}},
		resource.TestStep{PreConfig: func() { accept(t, it, link) }, Config: config("Accepts@acme.example", "viewer", ""), PlanOnly: true},
		resource.TestStep{RefreshState: true, Check: resource.ComposeTestCheckFunc(
			resource.TestCheckResourceAttr(member, "status", "MEMBER"), resource.TestCheckNoResourceAttr(member, "invitation_link"), resource.TestCheckResourceAttr(member, "id", "Accepts@acme.example"))},
		resource.TestStep{Config: config("Accepts@acme.example", "devops", ""), ConfigPlanChecks: inPlace, Check: resource.TestCheckResourceAttr(member, "role", "devops")},
		// The same address in other letters is nobody else.
		resource.TestStep{Config: config("accepts@ACME.example", "devops", ""), ConfigPlanChecks: inPlace, Check: resource.TestCheckResourceAttr(member, "status", "MEMBER")},
		resource.TestStep{Config: config("accepts@ACME.example", "devops", "data \"tokenward_member\" \"by_address\" {\n  email = tokenward_member.it.email\n}\ndata \"tokenward_member\" \"by_id\" {\n  user_id = data.tokenward_member.by_address.user_id\n}\n"),
			Check: resource.ComposeTestCheckFunc(resource.TestCheckResourceAttr("data.tokenward_member.by_address", "role_name", "devops"),
				resource.TestCheckResourceAttr("data.tokenward_member.by_id", "role_name", "devops"))},
	)
	members, _, err := organization(t, it).Members(t.Context())
	must(t, err)
	for _, one := range members {
		if strings.EqualFold(one.Email, "accepts@acme.example") {
			t.Error("still a member")
		}
	}
}
