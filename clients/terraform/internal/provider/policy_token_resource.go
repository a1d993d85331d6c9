package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/mapplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// A policy token's secret is the server's to make, and cannot be rotated: another one is another token.
type policyTokenResource struct{ managed }

func newPolicyTokenResource() resource.Resource { return &policyTokenResource{} }

var (
	_ resource.ResourceWithImportState    = (*policyTokenResource)(nil)
	_ resource.ResourceWithValidateConfig = (*policyTokenResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*policyTokenResource)(nil)
)

const policyToken = "policy token"

type policyTokenModel struct {
	ID             types.String `tfsdk:"id"`
	Name           types.String `tfsdk:"name"`
	Description    types.String `tfsdk:"description"`
	Role           types.String `tfsdk:"role"`
	Policy         types.String `tfsdk:"policy"`
	ExpiresAt      types.String `tfsdk:"expires_at"`
	Generate       types.Bool   `tfsdk:"generate"`
	RotateTriggers types.Map    `tfsdk:"rotate_triggers"`
	Token          types.String `tfsdk:"token"`
	LastFour       types.String `tfsdk:"last_four"`
}

func (r *policyTokenResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_policy_token"
}

func (r *policyTokenResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	kept := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	response.Schema = schema.Schema{
		MarkdownDescription: "A policy token: it may do what both its Rego policy and its role allow. The server makes its secret, and **it stands in the state**.",
		Attributes: map[string]schema.Attribute{
			"id":          idAttribute(),
			"name":        schema.StringAttribute{Required: true},
			"description": schema.StringAttribute{Optional: true},
			"role":        schema.StringAttribute{Required: true, MarkdownDescription: "The role that bounds it beside its policy, by name or id."},
			"policy":      schema.StringAttribute{Required: true, MarkdownDescription: "The policy, in Rego v1: `file(\"reader.rego\")`. Changed in place."},
			"expires_at":  schema.StringAttribute{Optional: true, Computed: true, PlanModifiers: kept, MarkdownDescription: "From when on it is refused (RFC 3339). Where nothing is said, the usual life of the organization's policy."},
			"generate": schema.BoolAttribute{Required: true, MarkdownDescription: "`true`, a written choice: the secret stands in the state as `token`.",
				PlanModifiers: []planmodifier.Bool{boolplanmodifier.UseStateForUnknown()}},
			"rotate_triggers": schema.MapAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: "Another value replaces the token: a policy token cannot be rotated.",
				PlanModifiers: []planmodifier.Map{mapplanmodifier.RequiresReplaceIf(
					// After an import the first apply takes over what only the configuration knows.
					func(_ context.Context, request planmodifier.MapRequest, response *mapplanmodifier.RequiresReplaceIfFuncResponse) {
						response.RequiresReplace = !request.StateValue.IsNull()
					}, "Another value replaces the token.", "Another value replaces the token.")}},
			"token":     schema.StringAttribute{Computed: true, Sensitive: true, PlanModifiers: kept, MarkdownDescription: "The secret; null after an import."},
			"last_four": schema.StringAttribute{Computed: true, PlanModifiers: kept, MarkdownDescription: "The end of its secret."},
		},
	}
}

func (r *policyTokenResource) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var config policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		return
	}
	if !config.Generate.IsUnknown() && !config.Generate.ValueBool() {
		response.Diagnostics.AddAttributeError(path.Root("generate"), "A policy token's secret has one form", "The server makes it alone: write `generate = true`.")
	}
	if end := config.ExpiresAt; !end.IsNull() && !end.IsUnknown() {
		if _, err := time.Parse(time.RFC3339, end.ValueString()); err != nil {
			response.Diagnostics.AddAttributeError(path.Root("expires_at"), "This is no moment", "Write it as 2027-01-31T12:00:00Z.")
		}
	}
}

func (r *policyTokenResource) ModifyPlan(_ context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	if request.State.Raw.IsNull() {
		response.Diagnostics.AddAttributeWarning(path.Root("generate"), "This secret will stand in the state",
			"It is in the state, its backups and saved plans, for everybody who reads them.")
	}
}

// fields are what a request says; an edit leaves out an end that the configuration does not name.
func (r *policyTokenResource) fields(ctx context.Context, m policyTokenModel) (api.Fields, error) {
	role, err := roleID(ctx, r.of, m.Role.ValueString())
	if err != nil {
		return nil, err
	}
	fields := api.Fields{"name": m.Name.ValueString(), "description": m.Description.ValueString(), "role_id": role.ID, "opa_policy": m.Policy.ValueString()}
	if !m.ExpiresAt.IsNull() && !m.ExpiresAt.IsUnknown() {
		fields["expires_at"] = m.ExpiresAt.ValueString()
	}
	return fields, nil
}

func (m *policyTokenModel) read(it api.PolicyToken) {
	m.ID, m.Name, m.Description = types.StringValue(it.ID), types.StringValue(it.Name), describe(m.Description, it.Description)
	m.Role = roleText(m.Role, it.RoleID, it.RoleName)
	m.Policy, m.ExpiresAt = types.StringValue(it.Policy), moment(m.ExpiresAt, it.ExpiresAt)
	if it.LastFour != "" {
		m.LastFour = types.StringValue(it.LastFour)
	}
}

func (r *policyTokenResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) {
		return
	}
	fields, err := r.fields(ctx, plan)
	var it api.PolicyToken
	if err == nil {
		it, err = r.of.CreatePolicyToken(ctx, fields)
	}
	if id, held := api.Taken(err); held {
		refused := err
		if err = taken(refused, id); r.of.Interrupted(ctx, id) {
			// Nobody has the secret of what a killed apply has made.
			if err = r.of.DeletePolicyToken(ctx, id); err == nil {
				it, err = r.of.CreatePolicyToken(ctx, fields)
			}
		}
	}
	if err != nil {
		tell(&response.Diagnostics, "The policy token cannot be made", err)
		return
	}
	// The answer to its making has the text, and neither the policy nor the end of the text.
	it.Policy, it.LastFour = plan.Policy.ValueString(), it.Text[max(0, len(it.Text)-4):]
	plan.read(it)
	plan.Token = optional(it.Text)
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *policyTokenResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	it, err := r.of.PolicyToken(ctx, state.ID.ValueString())
	if err != nil {
		r.unread(ctx, response, policyToken, err)
		return
	}
	state.read(it)
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

func (r *policyTokenResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, state policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}) {
		return
	}
	before, err := r.of.PolicyToken(ctx, state.ID.ValueString())
	var fields api.Fields
	if err == nil {
		fields, err = r.fields(ctx, plan)
	}
	if err == nil {
		before, err = r.of.EditPolicyToken(ctx, before.ID, before.ETag, fields)
	}
	if err != nil {
		tell(&response.Diagnostics, "The policy token cannot be changed", err)
		return
	}
	plan.read(before)
	plan.Token = state.Token
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

func (r *policyTokenResource) Delete(ctx context.Context, request resource.DeleteRequest, response *resource.DeleteResponse) {
	var state policyTokenModel
	if take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		r.deleted(ctx, response, policyToken, r.of.DeletePolicyToken(ctx, state.ID.ValueString()))
	}
}

func (r *policyTokenResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, policyToken, path.Root("id"), func(wanted string) (string, error) {
		all, err := r.of.PolicyTokens(ctx)
		if err != nil {
			return "", err
		}
		it, err := byName(all, wanted, policyToken, func(it api.PolicyToken) (string, string) { return it.ID, it.Name })
		return it.ID, err
	})
}
