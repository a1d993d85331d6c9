package provider

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// Each object of a state knows, in the part that the core keeps for the provider, of which organization it is. A token of another
// one, or of another server, finds nothing of it and reads everything there is: without this the state would be emptied.
const ofOrganization = "organization"

// noting is private data that is written.
type noting interface {
	SetKey(context.Context, string, []byte) diag.Diagnostics
}

// belongs says whether an object is of the organization that the provider manages; one that was just imported is.
func belongs(ctx context.Context, of *api.Of, kept keeper, diagnostics *diag.Diagnostics) bool {
	text, problems := kept.GetKey(ctx, ofOrganization)
	diagnostics.Append(problems...)
	var organization string
	if of == nil || problems.HasError() || len(text) == 0 || json.Unmarshal(text, &organization) != nil || organization == of.ID {
		return !problems.HasError()
	}
	diagnostics.AddError("The state is of another organization", fmt.Sprintf(
		"It has objects of the organization %s, and this token manages `%s` (%s). Nothing was taken out of the state. Use the `url`, the `token` and the `organization` that it was made with.",
		organization, of.Name, of.ID))
	return false
}

// noteOrganization keeps it with the object.
func noteOrganization(ctx context.Context, of *api.Of, kept noting, diagnostics *diag.Diagnostics) {
	if of == nil {
		return
	}
	text, err := json.Marshal(of.ID)
	if err == nil {
		diagnostics.Append(kept.SetKey(ctx, ofOrganization, text)...)
	}
}
