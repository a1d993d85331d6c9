package provider

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

type policyTokenResource struct{ managed }

func newPolicyTokenResource() resource.Resource { return &policyTokenResource{} }

var (
	_ resource.ResourceWithImportState    = (*policyTokenResource)(nil)
	_ resource.ResourceWithValidateConfig = (*policyTokenResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*policyTokenResource)(nil)
)

const policyToken = "policy token"

type policyTokenModel struct {
	ID              types.String `tfsdk:"id"`
	Name            types.String `tfsdk:"name"`
	Description     types.String `tfsdk:"description"`
	Role            types.String `tfsdk:"role"`
	Policy          types.String `tfsdk:"policy"`
	ExpiresAt       types.String `tfsdk:"expires_at"`
	SecretWO        types.String `tfsdk:"secret_wo"`
	SecretWOVersion types.Int64  `tfsdk:"secret_wo_version"`
	Digest          types.String `tfsdk:"digest"`
	Generate        types.Bool   `tfsdk:"generate"`
	RotateTriggers  types.Map    `tfsdk:"rotate_triggers"`
	Overlap         types.String `tfsdk:"overlap"`
	Token           types.String `tfsdk:"token"`
	LastFour        types.String `tfsdk:"last_four"`
	Version         types.Int64  `tfsdk:"version"`
	State           types.String `tfsdk:"state"`
	tokenDetails
}

func (m policyTokenModel) secret() secretForm {
	return secretForm{m.SecretWO, m.SecretWOVersion, m.Digest, m.Generate, m.RotateTriggers}
}

// keepSecret takes over what is known of a secret from another model.
func (m *policyTokenModel) keepSecret(from policyTokenModel) {
	m.SecretWOVersion, m.Digest, m.Generate, m.RotateTriggers = from.SecretWOVersion, from.Digest, from.Generate, from.RotateTriggers
}

func (r *policyTokenResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_policy_token"
}

func (r *policyTokenResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	kept := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	response.Schema = schema.Schema{
		MarkdownDescription: "A policy token: it may do what both its Rego policy and its role allow. Its secret has exactly one of three forms: `secret_wo`, `digest`, or `generate`.",
		Attributes: map[string]schema.Attribute{
			"id":          idAttribute(),
			"name":        schema.StringAttribute{Required: true},
			"description": schema.StringAttribute{Optional: true},
			"role":        schema.StringAttribute{Required: true, MarkdownDescription: "The role that bounds it beside its policy, by name or id."},
			"policy":      schema.StringAttribute{Required: true, MarkdownDescription: "The policy, in Rego v1: `file(\"reader.rego\")`. Changed in place."},
			"expires_at":  schema.StringAttribute{Optional: true, Computed: true, PlanModifiers: kept, MarkdownDescription: "From when on it is refused (RFC 3339). Where nothing is said, the usual life of the organization's policy."},
			"state":       schema.StringAttribute{Computed: true, MarkdownDescription: "`active`; `disabled`, which is left as it is; or `expired`, which is final: then it is replaced."},
		},
	}
	maps.Copy(response.Schema.Attributes, tokenAttributes())
	maps.Copy(response.Schema.Attributes, secretAttributes())
}

func (r *policyTokenResource) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var config policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		return
	}
	config.secret().check(weakPolicy, &response.Diagnostics)
	checkLength(path.Root("overlap"), config.Overlap, &response.Diagnostics)
	checkMoment("expires_at", config.ExpiresAt, &response.Diagnostics)
	config.checkAttributes(&response.Diagnostics)
}

func (r *policyTokenResource) ModifyPlan(ctx context.Context, request resource.ModifyPlanRequest, response *resource.ModifyPlanResponse) {
	if request.Plan.Raw.IsNull() {
		return
	}
	var config, plan policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}, sent{request.Plan, &plan}) {
		return
	}
	if request.State.Raw.IsNull() {
		plan.secret().warnOfState(secretForm{}, &response.Diagnostics)
		if !plan.Generate.ValueBool() {
			plan.Token = types.StringNull()
		}
		response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
		return
	}
	var state policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	plan.LastFour, plan.Version, plan.Token, plan.State = state.LastFour, state.Version, state.Token, state.State
	if config.Owner.IsNull() {
		plan.Owner = state.Owner
	}
	if state.State.ValueString() == "disabled" {
		response.Diagnostics.AddAttributeWarning(path.Root("state"), "The policy token is switched off",
			fmt.Sprintf("`%s` is refused until `tokenward policy-token enable` switches it on again. It is left as it is.", state.Name.ValueString()))
	}
	// What has ended is never accepted again.
	if state.State.ValueString() == "expired" {
		response.Diagnostics.AddAttributeWarning(path.Root("state"), "The policy token is over",
			fmt.Sprintf("`%s` is expired, which is final. It is replaced by another one.", state.Name.ValueString()))
		plan.State = types.StringUnknown()
		response.RequiresReplace = append(response.RequiresReplace, path.Root("state"))
	} else if rotated, why := rotates(state.secret(), plan.secret()); rotated {
		plan.LastFour, plan.Version, plan.Token = types.StringUnknown(), types.Int64Unknown(), types.StringUnknown()
		if !plan.Generate.ValueBool() {
			plan.Token = types.StringNull()
		}
		plan.secret().warnOfState(state.secret(), &response.Diagnostics)
		r.warnOfRotation(ctx, state, plan, why, &response.Diagnostics)
	}
	if !plan.ExpiresAt.Equal(state.ExpiresAt) {
		plan.State = types.StringUnknown()
	}
	response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
}

func (r *policyTokenResource) warnOfRotation(ctx context.Context, state, plan policyTokenModel, why string, diagnostics *diag.Diagnostics) {
	told := rotation{name: state.Name.ValueString(), why: why, overlap: plan.Overlap.ValueString()}
	if r.of != nil {
		// Where it cannot be read, the plan says less.
		it, err := r.of.PolicyToken(ctx, state.ID.ValueString())
		if told.now = r.of.Now(); err == nil && len(it.Versions) > 0 {
			told.read, told.usedAt, told.usedBy = true, it.Versions[0].LastUsedAt, it.Versions[0].LastUsedVia
		}
	}
	if at, err := time.Parse(time.RFC3339, plan.ExpiresAt.ValueString()); err == nil {
		told.ends = &at
	}
	told.warn(diagnostics)
}

// fields are what a request says; an edit leaves out an end that the configuration does not name.
func (r *policyTokenResource) fields(ctx context.Context, m policyTokenModel) (api.Fields, error) {
	role, err := roleID(ctx, r.of, m.Role.ValueString())
	if err != nil {
		return nil, err
	}
	fields := api.Fields{"name": m.Name.ValueString(), "description": nil, "role_id": role.ID, "opa_policy": m.Policy.ValueString()}
	if !m.Description.IsNull() {
		fields["description"] = m.Description.ValueString()
	}
	if !m.ExpiresAt.IsNull() && !m.ExpiresAt.IsUnknown() {
		fields["expires_at"] = m.ExpiresAt.ValueString()
	}
	return fields, nil
}

// read takes over what the server says, in the words of the configuration where they mean the same.
func (r *policyTokenResource) read(ctx context.Context, into *policyTokenModel, it api.PolicyToken, diagnostics *diag.Diagnostics) {
	into.Name, into.Description = types.StringValue(it.Name), describe(into.Description, it.Description)
	into.Role = roleText(into.Role, it.RoleID, it.RoleName)
	into.Policy = types.StringValue(it.Policy)
	into.readAttributes(ctx, r.of, it.Token, diagnostics)
	into.made(it, r.of.Now())
}

// made takes over what the answer that has its secret says of it: that does not say all.
func (m *policyTokenModel) made(it api.PolicyToken, now time.Time) {
	m.ID, m.ExpiresAt, m.LastFour = types.StringValue(it.ID), moment(m.ExpiresAt, it.ExpiresAt), types.StringValue(it.LastFour)
	switch {
	case it.DisabledAt != nil:
		m.State = types.StringValue("disabled")
	// The server's time is known to the second.
	case it.ExpiresAt != nil && !it.ExpiresAt.After(now.Add(time.Second)):
		m.State = types.StringValue("expired")
	default:
		m.State = types.StringValue("active")
	}
	if len(it.Versions) > 0 {
		m.Version = types.Int64Value(int64(it.Versions[0].Version))
	} else if m.Version.IsUnknown() {
		m.Version = types.Int64Value(0)
	}
}

func (r *policyTokenResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan, config policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.Config, &config}) {
		return
	}
	fields, err := r.fields(ctx, plan)
	if err != nil {
		response.Diagnostics.AddAttributeError(path.Root("role"), "The policy token cannot be made", err.Error())
		return
	}
	r.newAttributes(ctx, fields, plan.tokenDetails, &response.Diagnostics)
	if !plan.secret().put(fields, config.SecretWO, weakPolicy, &response.Diagnostics) || response.Diagnostics.HasError() {
		return
	}
	it, err := r.of.CreatePolicyToken(ctx, fields)
	if id, held := api.Taken(err); held {
		it, err = r.adopt(ctx, id, fields, err)
	}
	if err != nil {
		plan.secret().tell(&response.Diagnostics, "The policy token cannot be made", err)
		return
	}
	plan.Token = optional(it.Text)
	if whole, err := r.of.PolicyToken(ctx, it.ID); err == nil {
		r.read(ctx, &plan, whole, &response.Diagnostics)
	} else {
		// It is there, and its secret is told once: the next run looks at what nobody has said now.
		response.Diagnostics.AddWarning("The policy token was made, and could not be read", err.Error())
		plan.made(it, r.of.Now())
		if plan.Owner.IsUnknown() {
			plan.Owner = types.StringNull()
		}
	}
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
	noteVersion(ctx, plan.Version, response.Private, &response.Diagnostics)
}

// adopt takes over what an interrupted apply has made: by this same token, a while ago, as it is wanted now, and never used.
func (r *policyTokenResource) adopt(ctx context.Context, id string, fields api.Fields, refused error) (api.PolicyToken, error) {
	it, err := r.of.PolicyToken(ctx, id)
	if err != nil {
		return api.PolicyToken{}, refused
	}
	equal := isAlready(fields, it) && sameAttributes(fields, it.Token) && it.DisabledAt == nil && len(it.Versions) == 1 && it.Versions[0].LastUsedAt == nil &&
		it.AllowedCount == 0 && it.DeniedCount == 0
	if !equal || !r.of.Interrupted(ctx, id) {
		return api.PolicyToken{}, taken(refused, id)
	}
	rotation, etag := rotationOf(fields)
	it, err = r.of.RotatePolicyToken(ctx, id, etag, rotation)
	if api.Changed(err) {
		return api.PolicyToken{}, taken(refused, id)
	}
	return it, err
}

// isAlready says whether a token is named, bounded and ended as a request for it says.
func isAlready(fields api.Fields, it api.PolicyToken) bool {
	description, _ := fields["description"].(string)
	end, given := fields["expires_at"]
	return it.Name == fields["name"] && it.RoleID == fields["role_id"] && it.Policy == fields["opa_policy"] && it.Description == description &&
		(!given || sameMoment(end, it.ExpiresAt))
}

func (r *policyTokenResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	it, err := r.of.PolicyToken(ctx, state.ID.ValueString())
	switch {
	case err != nil:
		r.unread(ctx, response, policyToken, err)
	case it.State == "revoked":
		response.Diagnostics.AddWarning("The policy token was taken back", fmt.Sprintf("`%s` is refused%s. It is made anew, with another id and another secret.", it.Name, takenBack(it.Revocation)))
		response.State.RemoveResource(ctx)
	default:
		known := state.Version
		r.read(ctx, &state, it, &response.Diagnostics)
		warnOfNewer(ctx, it.Name, state.secret(), known, state.Version, request.Private, response.Private, &response.Diagnostics)
		response.Diagnostics.Append(response.State.Set(ctx, state)...)
	}
}

func (r *policyTokenResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, state, config policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}, sent{request.Config, &config}) {
		return
	}
	id, done := state.ID.ValueString(), state
	rotated, _ := rotates(state.secret(), plan.secret())
	if state.secret().name() == "" {
		// The secret that an import found is the configuration's from now on.
		noteVersion(ctx, state.Version, response.Private, &response.Diagnostics)
	}
	same := plan.Name.Equal(state.Name) && plan.Description.Equal(state.Description) && plan.Role.Equal(state.Role) &&
		plan.Policy.Equal(state.Policy) && plan.ExpiresAt.Equal(state.ExpiresAt) && plan.equal(state.tokenDetails)
	if same && !rotated {
		// What only the configuration knows is adopted after an import, and nobody is asked.
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
		return
	}
	fields := api.Fields{}
	if !same {
		said, err := r.fields(ctx, plan)
		if err != nil {
			response.Diagnostics.AddAttributeError(path.Root("role"), "The policy token cannot be changed", err.Error())
			return
		}
		fields = said
		r.editedAttributes(ctx, fields, state.tokenDetails, plan.tokenDetails, &response.Diagnostics)
		if response.Diagnostics.HasError() {
			return
		}
	}
	if rotated {
		rotation := api.Fields{"keep": plan.Overlap.ValueString()}
		if !plan.secret().put(rotation, config.SecretWO, weakPolicy, &response.Diagnostics) {
			return
		}
		before, err := r.of.PolicyToken(ctx, id)
		it := before
		if err == nil {
			it, err = r.of.RotatePolicyToken(ctx, id, before.ETag, rotation)
		}
		if err != nil {
			plan.secret().tell(&response.Diagnostics, "The policy token cannot be rotated", err)
			return
		}
		// Whatever fails from here on, the new secret is the one that counts.
		done.keepSecret(plan)
		done.Token = optional(it.Text)
		r.read(ctx, &done, before.Rotated(it), &response.Diagnostics)
		response.Diagnostics.Append(response.State.Set(ctx, done)...)
		noteVersion(ctx, done.Version, response.Private, &response.Diagnostics)
	}
	it, err := r.of.PolicyToken(ctx, id)
	if err == nil {
		if withoutWhatIs(fields, it.Token); fields["opa_policy"] == it.Policy {
			delete(fields, "opa_policy")
		}
		if len(fields) > 0 {
			it, err = r.of.EditPolicyToken(ctx, id, it.ETag, fields)
		}
	}
	if err != nil {
		tell(&response.Diagnostics, "The policy token cannot be changed", err)
		return
	}
	plan.Token = done.Token
	r.read(ctx, &plan, it, &response.Diagnostics)
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
		all, err := r.of.KnownPolicyTokens(ctx)
		if err != nil {
			return "", err
		}
		it, err := byName(all, wanted, policyToken, func(it api.PolicyToken) (string, string) { return it.ID, it.Name })
		return it.ID, err
	})
}
