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
	ID          types.String `tfsdk:"id"`
	Description types.String `tfsdk:"description"`
	Role        types.String `tfsdk:"role"`
	Policy      types.String `tfsdk:"policy"`
	tokenLife
	tokenSecret
	tokenDetails
}

func (r *policyTokenResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_policy_token"
}

func (r *policyTokenResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	response.Schema = schema.Schema{
		MarkdownDescription: "A policy token: it may do what both its Rego policy and its role allow. Its secret has exactly one of three forms: `secret_wo`, `digest`, or `generate`.",
		Attributes: map[string]schema.Attribute{
			"id":          idAttribute(),
			"description": schema.StringAttribute{Optional: true},
			"role":        schema.StringAttribute{Required: true, MarkdownDescription: "The role that bounds it beside its policy, by name or id."},
			"policy":      schema.StringAttribute{Required: true, MarkdownDescription: "The policy, in Rego v1: `file(\"reader.rego\")`. Changed in place."},
		},
	}
	maps.Copy(response.Schema.Attributes, lifeAttributes())
	maps.Copy(response.Schema.Attributes, tokenAttributes())
	maps.Copy(response.Schema.Attributes, secretAttributes())
}

func (r *policyTokenResource) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var config policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		return
	}
	config.checkSecret(weakPolicy, &response.Diagnostics)
	config.checkLife(&response.Diagnostics)
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
		plan.planFirstSecret(&response.Diagnostics)
		if config.ExpiresIn.IsNull() && config.ExpiresAt.IsNull() {
			// The organization's policy may give it one.
			plan.ExpiresAt = types.StringUnknown()
		}
		response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
		return
	}
	var state policyTokenModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	// What has ended is never accepted again.
	replaced := plan.replaced(state.tokenLife)
	rotated, why := rotates(state.secret(), plan.secret())
	plan.keepKnown(state.tokenSecret)
	if rotated && !replaced {
		plan.planRotation(state.tokenSecret, &response.Diagnostics)
		r.warnOfRotation(ctx, state, plan, why, &response.Diagnostics)
	}
	plan.planChange(config.tokenLife, state.tokenLife, rotated, state.secret().name() == "", !plan.NotBefore.Equal(state.NotBefore))
	if config.Owner.IsNull() {
		plan.Owner = state.Owner
	}
	if replaced {
		plan.planReplacement(config.tokenLife, state.tokenLife, &response.Diagnostics)
		response.RequiresReplace = append(response.RequiresReplace, path.Root("state"))
	}
	response.Diagnostics.Append(response.Plan.Set(ctx, plan)...)
}

func (r *policyTokenResource) warnOfRotation(ctx context.Context, state, plan policyTokenModel, why string, diagnostics *diag.Diagnostics) {
	told := rotation{name: state.Name.ValueString(), why: why, overlap: plan.Overlap.ValueString(), silent: plan.EndWhenSilent.ValueString()}
	if r.of != nil {
		// Where it cannot be read, the plan says less.
		it, err := r.of.PolicyToken(ctx, state.ID.ValueString())
		if told.now = r.of.Now(); err == nil && len(it.Versions) > 0 {
			told.read, told.usedAt, told.usedBy = true, it.Versions[0].LastUsedAt, it.Versions[0].LastUsedVia
		}
	}
	if end, given := plan.end(told.now); given {
		text, _ := end.(string)
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			told.ends = &at
		}
	}
	told.warn(diagnostics)
}

// read takes over what the server says, in the words of the configuration where they mean the same.
func (r *policyTokenResource) read(ctx context.Context, into *policyTokenModel, it api.PolicyToken, diagnostics *diag.Diagnostics) {
	into.Description = describe(into.Description, it.Description)
	into.Role = roleText(into.Role, it.RoleID, it.RoleName)
	into.Policy = types.StringValue(it.Policy)
	into.readLife(it.Token)
	into.readAttributes(ctx, r.of, it.Token, diagnostics)
	into.made(it, r.of.Now())
}

// made takes over what the answer that has its secret says of it: that does not say all.
func (m *policyTokenModel) made(it api.PolicyToken, now time.Time) {
	m.ID, m.ExpiresAt, m.LastFour = types.StringValue(it.ID), moment(m.ExpiresAt, it.ExpiresAt), types.StringValue(it.LastFour)
	switch {
	case it.State != "":
		m.State = types.StringValue(it.State)
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
	role, err := roleID(ctx, r.of, plan.Role.ValueString())
	if err != nil {
		response.Diagnostics.AddAttributeError(path.Root("role"), "The policy token cannot be made", err.Error())
		return
	}
	fields := api.Fields{"name": plan.newName(), "role_id": role.ID, "opa_policy": plan.Policy.ValueString()}
	if !plan.Description.IsNull() {
		fields["description"] = plan.Description.ValueString()
	}
	if end, given := plan.end(r.of.Now()); given {
		fields["expires_at"] = end
	}
	r.newAttributes(ctx, fields, plan.tokenDetails, &response.Diagnostics)
	if !plan.secret().put(fields, config.SecretWO, weakPolicy, &response.Diagnostics) || response.Diagnostics.HasError() {
		return
	}
	it, err := r.of.CreatePolicyToken(ctx, fields)
	if id, held := api.Taken(err); held {
		it, err = r.adopt(ctx, id, plan, fields, err)
	}
	if err != nil {
		plan.secret().tell(&response.Diagnostics, "The policy token cannot be made", err)
		return
	}
	// What is made is in the state before anything else can fail.
	made := plan
	made.Token = optional(it.Text)
	whole, err := r.of.PolicyToken(ctx, it.ID)
	if err == nil {
		r.read(ctx, &made, whole, &response.Diagnostics)
	} else {
		// It is there, and its secret is told once: the next run looks at what nobody has said now.
		response.Diagnostics.AddWarning("The policy token was made, and could not be read", err.Error())
		made.Name = types.StringValue(it.Name)
		made.made(it, r.of.Now())
		if made.Owner.IsUnknown() {
			made.Owner = types.StringNull()
		}
	}
	response.Diagnostics.Append(response.State.Set(ctx, made)...)
	noteVersion(ctx, made.Version, response.Private, &response.Diagnostics)
	if plan.Enabled.ValueBool() || whole.DisabledAt != nil {
		return
	}
	if whole, err = r.of.EnablePolicyToken(ctx, it.ID, whole.ETag, false); err != nil {
		tell(&response.Diagnostics, "The policy token was made, and cannot be switched off", err)
		return
	}
	r.read(ctx, &made, whole, &response.Diagnostics)
	response.Diagnostics.Append(response.State.Set(ctx, made)...)
}

// adopt takes over what an interrupted apply has made: by this same token, a while ago, as it is wanted now, and never used.
func (r *policyTokenResource) adopt(ctx context.Context, id string, plan policyTokenModel, fields api.Fields, refused error) (api.PolicyToken, error) {
	it, err := r.of.PolicyToken(ctx, id)
	if err != nil {
		return api.PolicyToken{}, refused
	}
	equal := isAlready(fields, it) && plan.isUntouched(fields, it.Token) && sameAttributes(fields, it.Token) && it.Versions[0].LastUsedAt == nil &&
		it.AllowedCount == 0 && it.DeniedCount == 0
	if !equal || !r.of.Interrupted(ctx, id) {
		return api.PolicyToken{}, taken(refused, id)
	}
	rotation, etag := rotationOf(fields)
	if it.DisabledAt != nil && etag == "" {
		// One that is switched off gets no secret; nobody knows the one that it has.
		if _, err = r.of.EnablePolicyToken(ctx, id, it.ETag, true); err != nil {
			return api.PolicyToken{}, err
		}
	}
	it, err = r.of.RotatePolicyToken(ctx, id, etag, rotation)
	if api.Changed(err) {
		return api.PolicyToken{}, taken(refused, id)
	}
	return it, err
}

// isAlready says whether a token is named and bounded as a request for it says.
func isAlready(fields api.Fields, it api.PolicyToken) bool {
	description, _ := fields["description"].(string)
	return it.Name == fields["name"] && it.RoleID == fields["role_id"] && it.Policy == fields["opa_policy"] && it.Description == description
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
		if it.DisabledAt != nil && state.Enabled.ValueBool() {
			response.Diagnostics.AddAttributeWarning(path.Root("enabled"), "The policy token is switched off", switchedOff(it.Token))
		}
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
	fields, err := r.edits(ctx, state, plan, &response.Diagnostics)
	if err != nil {
		response.Diagnostics.AddAttributeError(path.Root("role"), "The policy token cannot be changed", err.Error())
	}
	if response.Diagnostics.HasError() {
		return
	}
	save := func() { response.Diagnostics.Append(response.State.Set(ctx, done)...) }
	if !rotated && len(fields) == 0 && plan.Enabled.Equal(state.Enabled) {
		// What only the configuration knows is adopted after an import, and nobody is asked.
		if plan.State.IsUnknown() {
			plan.State = state.State
		}
		done = plan
		save()
		return
	}
	if rotated {
		rotation := plan.rotation()
		if !plan.secret().put(rotation, config.SecretWO, weakPolicy, &response.Diagnostics) {
			return
		}
		before, err := r.of.PolicyToken(ctx, id)
		if err == nil && before.DisabledAt != nil && plan.Enabled.ValueBool() {
			// One that is switched off gets no secret.
			if before, err = r.of.EnablePolicyToken(ctx, id, before.ETag, true); err == nil {
				done.Enabled = plan.Enabled
				r.read(ctx, &done, before, &response.Diagnostics)
				save()
			}
		}
		if end, sooner := sooner(fields, before.Token); err == nil && sooner {
			// A newer policy of the organization may refuse to rotate one with the end that it has.
			if before, err = r.of.EditPolicyToken(ctx, id, before.ETag, end); err == nil {
				r.read(ctx, &done, before, &response.Diagnostics)
				save()
			}
		}
		it := before
		if err == nil {
			it, err = r.of.RotatePolicyToken(ctx, id, before.ETag, rotation)
		}
		if err != nil {
			plan.secret().tell(&response.Diagnostics, "The policy token cannot be rotated", err)
			return
		}
		// Whatever fails from here on, the new secret is the one that counts. Its life is counted by the edit: until then none is.
		done.keepForm(plan.tokenSecret)
		done.ExpiresIn = types.StringNull()
		done.Token = optional(it.Text)
		r.read(ctx, &done, before.Rotated(it), &response.Diagnostics)
		save()
		noteVersion(ctx, done.Version, response.Private, &response.Diagnostics)
	}
	it, err := r.of.PolicyToken(ctx, id)
	if err == nil {
		if withoutWhatIs(fields, it.Token); fields["opa_policy"] == it.Policy {
			delete(fields, "opa_policy")
		}
	}
	if err == nil && len(fields) > 0 {
		if it, err = r.of.EditPolicyToken(ctx, id, it.ETag, fields); err == nil {
			kept := plan
			kept.Enabled = done.Enabled
			kept.keepKnown(done.tokenSecret)
			kept.keepForm(done.tokenSecret)
			done = kept
			r.read(ctx, &done, it, &response.Diagnostics)
			save()
		}
	}
	if err == nil && plan.Enabled.ValueBool() != (it.DisabledAt == nil) {
		it, err = r.of.EnablePolicyToken(ctx, id, it.ETag, plan.Enabled.ValueBool())
	}
	if err != nil {
		tell(&response.Diagnostics, "The policy token cannot be changed", err)
		return
	}
	plan.Token = done.Token
	planned := plan.State
	r.read(ctx, &plan, it, &response.Diagnostics)
	if !planned.IsUnknown() {
		// The clock may have changed it since the plan, as a brownout's window does: the next one says so.
		plan.State = planned
	}
	response.Diagnostics.Append(response.State.Set(ctx, plan)...)
}

// edits are the attributes of the server that a change means; what only the configuration knows is none.
func (r *policyTokenResource) edits(ctx context.Context, state, plan policyTokenModel, diagnostics *diag.Diagnostics) (api.Fields, error) {
	fields := api.Fields{}
	if !plan.Description.Equal(state.Description) {
		fields["description"] = nil
		if !plan.Description.IsNull() {
			fields["description"] = plan.Description.ValueString()
		}
	}
	if !plan.Policy.Equal(state.Policy) {
		fields["opa_policy"] = plan.Policy.ValueString()
	}
	if !plan.Role.Equal(state.Role) {
		role, err := roleID(ctx, r.of, plan.Role.ValueString())
		if err != nil {
			return nil, err
		}
		fields["role_id"] = role.ID
	}
	plan.editedLife(fields, state.tokenLife, r.of.Now())
	r.editedAttributes(ctx, fields, state.tokenDetails, plan.tokenDetails, diagnostics)
	return fields, nil
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
