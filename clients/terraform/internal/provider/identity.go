package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// identified is a resource with an identity, which cores of 1.12 and later keep beside its state and import by: some attributes of
// its state, the first of which is always said. Older cores never ask for it. It also sees to it that nothing is done to an object of
// another organization.
type identified struct {
	resource.Resource
	attributes []string
	of         *api.Of
}

var (
	_ resource.ResourceWithConfigure      = (*identified)(nil)
	_ resource.ResourceWithIdentity       = (*identified)(nil)
	_ resource.ResourceWithImportState    = (*identified)(nil)
	_ resource.ResourceWithModifyPlan     = (*identified)(nil)
	_ resource.ResourceWithValidateConfig = (*identified)(nil)
)

// What the attributes of an identity are.
var identities = map[string]string{
	"id":             "The id; of a member the e-mail address.",
	"project_id":     "The project that it is in.",
	"environment_id": "The environment that it is in.",
}

func withIdentity(make func() resource.Resource, attributes ...string) func() resource.Resource {
	return func() resource.Resource {
		return &identified{Resource: make(), attributes: append([]string{"id"}, attributes...)}
	}
}

func (r *identified) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, response *resource.IdentitySchemaResponse) {
	attributes := map[string]identityschema.Attribute{}
	for at, name := range r.attributes {
		attributes[name] = identityschema.StringAttribute{RequiredForImport: at == 0, OptionalForImport: at > 0, Description: identities[name]}
	}
	response.IdentitySchema = identityschema.Schema{Attributes: attributes}
}

// note takes the identity out of a state. One that was removed keeps the identity that it had.
func (r *identified) note(ctx context.Context, identity *tfsdk.ResourceIdentity, diagnostics *diag.Diagnostics, states ...tfsdk.State) {
	at := slices.IndexFunc(states, func(it tfsdk.State) bool { return !it.Raw.IsNull() })
	if identity == nil || at < 0 {
		return
	}
	for _, name := range r.attributes {
		var value types.String
		diagnostics.Append(states[at].GetAttribute(ctx, path.Root(name), &value)...)
		diagnostics.Append(identity.SetAttribute(ctx, path.Root(name), value)...)
	}
}

func (r *identified) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	r.Resource.Create(ctx, request, response)
	if !response.State.Raw.IsNull() {
		noteOrganization(ctx, r.of, response.Private, &response.Diagnostics)
	}
	r.note(ctx, response.Identity, &response.Diagnostics, response.State)
}

func (r *identified) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	if !belongs(ctx, r.of, request.Private, &response.Diagnostics) {
		return
	}
	r.Resource.Read(ctx, request, response)
	if !response.State.Raw.IsNull() {
		noteOrganization(ctx, r.of, response.Private, &response.Diagnostics)
	}
	r.note(ctx, response.Identity, &response.Diagnostics, response.State, request.State)
}

func (r *identified) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	if !belongs(ctx, r.of, request.Private, &response.Diagnostics) {
		return
	}
	r.Resource.Update(ctx, request, response)
	if !response.Diagnostics.HasError() {
		response.Diagnostics.Append(asPlanned(request.Plan, &response.State)...)
	}
	r.note(ctx, response.Identity, &response.Diagnostics, response.State)
}

// asPlanned keeps what the plan has shown in a state that an apply leaves. Where somebody has changed another attribute between the two,
// a core takes that for a fault of the provider; the next plan shows it, and what to do about it.
func asPlanned(plan tfsdk.Plan, state *tfsdk.State) diag.Diagnostics {
	var wanted, left map[string]tftypes.Value
	err := plan.Raw.As(&wanted)
	if err == nil {
		err = state.Raw.As(&left)
	}
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("The state cannot be read", err.Error())}
	}
	// What is read may be the state's own.
	left = maps.Clone(left)
	for name, value := range wanted {
		if value.IsFullyKnown() {
			left[name] = value
		}
	}
	state.Raw = tftypes.NewValue(state.Raw.Type(), left)
	return nil
}

func (r *identified) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	if belongs(ctx, r.of, request.Private, &response.Diagnostics) {
		r.Resource.Delete(ctx, request, response)
	}
}

// ImportState imports by a text, as each resource reads it, or by an identity.
func (r *identified) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	if request.ID == "" && request.Identity != nil {
		said := 0
		for at, name := range r.attributes {
			var value types.String
			response.Diagnostics.Append(request.Identity.GetAttribute(ctx, path.Root(name), &value)...)
			if at == 0 {
				request.ID = value.ValueString()
			} else if !value.IsNull() {
				said++
			}
			if len(r.attributes) > 1 {
				response.Diagnostics.Append(response.State.SetAttribute(ctx, path.Root(name), value)...)
			}
		}
		if len(r.attributes) > 1 {
			// Reading it says whether there is such a one.
			if said != 1 {
				response.Diagnostics.AddError("This is no identity", "Say the `id`, and either `project_id` or `environment_id`.")
			}
			return
		}
	}
	if of, ok := r.Resource.(resource.ResourceWithImportState); ok && !response.Diagnostics.HasError() {
		of.ImportState(ctx, request, response)
	}
}

func (r *identified) Configure(ctx context.Context, request resource.ConfigureRequest, response *resource.ConfigureResponse) {
	configured(request.ProviderData, &r.of, &response.Diagnostics)
	if of, ok := r.Resource.(resource.ResourceWithConfigure); ok {
		of.Configure(ctx, request, response)
	}
}

func (r *identified) ModifyPlan(ctx context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	// Without a refresh this is where it is first seen.
	if !request.State.Raw.IsNull() && !belongs(ctx, r.of, request.Private, &response.Diagnostics) {
		return
	}
	if of, ok := r.Resource.(resource.ResourceWithModifyPlan); ok {
		of.ModifyPlan(ctx, request, response)
	}
}

func (r *identified) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	if of, ok := r.Resource.(resource.ResourceWithValidateConfig); ok {
		of.ValidateConfig(ctx, request, response)
	}
}
