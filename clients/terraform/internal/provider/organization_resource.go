package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/tokenward/tokenward/clients/terraform/internal/api"
)

// The organization is there before its provider is, and goes on after it: it is taken over, and never made or deleted.
type organizationResource struct{ managed }

func newOrganizationResource() resource.Resource { return &organizationResource{} }

var (
	_ resource.ResourceWithImportState    = (*organizationResource)(nil)
	_ resource.ResourceWithValidateConfig = (*organizationResource)(nil)
)

type organizationModel struct {
	ID          types.String `tfsdk:"id"`
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	WebsiteURL  types.String `tfsdk:"website_url"`
	Repository  types.String `tfsdk:"repository"`
	LogoURL     types.String `tfsdk:"logo_url"`
	IconURL     types.String `tfsdk:"icon_url"`
	AdminEmails types.Set    `tfsdk:"admin_emails"`

	TokenPolicy    types.Object `tfsdk:"token_policy"`
	EventRetention types.String `tfsdk:"event_retention"`
	ForbidsDevice  types.Bool   `tfsdk:"forbids_device"`
	SignIn         types.Object `tfsdk:"sign_in"`
}

func (r *organizationResource) Metadata(_ context.Context, _ resource.MetadataRequest, response *resource.MetadataResponse) {
	response.TypeName = "tokenward_organization"
}

func (r *organizationResource) Schema(_ context.Context, _ resource.SchemaRequest, response *resource.SchemaResponse) {
	said := func(what string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, Computed: true, MarkdownDescription: what,
			PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}}
	}
	response.Schema = schema.Schema{
		MarkdownDescription: "The provider's own organization. It is taken over as it is: what is not said here is left alone. Destroying it forgets it, and deletes nothing.",
		Attributes: map[string]schema.Attribute{
			"id":          idAttribute(),
			"name":        schema.StringAttribute{Required: true},
			"description": said("What it is."),
			"website_url": said("Its page."),
			"repository":  said("Where its code is."),
			"logo_url":    said("Its picture."),
			"icon_url":    said("Its small picture."),
			"admin_emails": schema.SetAttribute{Optional: true, Computed: true, ElementType: types.StringType, MarkdownDescription: "Who is written to about it.",
				PlanModifiers: []planmodifier.Set{setplanmodifier.UseStateForUnknown()}},
		},
	}
	maps.Copy(response.Schema.Attributes, settingsAttributes())
}

func (r *organizationResource) ValidateConfig(ctx context.Context, request resource.ValidateConfigRequest, response *resource.ValidateConfigResponse) {
	var config organizationModel
	if take(ctx, &response.Diagnostics, sent{request.Config, &config}) {
		config.checkSettings(&response.Diagnostics)
	}
}

func (m *organizationModel) read(it api.Organization) {
	m.ID, m.Name, m.ForbidsDevice = types.StringValue(it.ID), types.StringValue(it.Name), types.BoolValue(it.ForbidsDevice)
	for _, pair := range m.texts() {
		*pair.here = describe(*pair.here, pair.there(it))
	}
	m.AdminEmails = textSet(it.AdminEmails, m.AdminEmails)
	if m.AdminEmails.IsUnknown() {
		m.AdminEmails = types.SetNull(types.StringType)
	}
}

type organizationText struct {
	name  string
	here  *types.String
	there func(api.Organization) string
}

func (m *organizationModel) texts() []organizationText {
	return []organizationText{
		{"description", &m.Description, func(it api.Organization) string { return it.Description }},
		{"website_url", &m.WebsiteURL, func(it api.Organization) string { return it.WebsiteURL }},
		{"repository", &m.Repository, func(it api.Organization) string { return it.Repository }},
		{"logo_url", &m.LogoURL, func(it api.Organization) string { return it.LogoURL }},
		{"icon_url", &m.IconURL, func(it api.Organization) string { return it.IconURL }},
	}
}

// fields are what the configuration says, and nothing else.
func (m *organizationModel) fields(ctx context.Context, diagnostics *diag.Diagnostics) api.Fields {
	fields := api.Fields{"name": m.Name.ValueString()}
	for _, pair := range m.texts() {
		if !pair.here.IsNull() && !pair.here.IsUnknown() {
			fields[pair.name] = pair.here.ValueString()
		}
	}
	if !m.ForbidsDevice.IsNull() && !m.ForbidsDevice.IsUnknown() {
		fields["forbids_device"] = m.ForbidsDevice.ValueBool()
	}
	if !m.AdminEmails.IsNull() && !m.AdminEmails.IsUnknown() {
		fields["admin_emails"] = texts(ctx, m.AdminEmails, diagnostics)
	}
	return fields
}

// isAs says whether an organization is what an edit would make of it.
func isAs(fields api.Fields, it api.Organization) bool {
	is := api.Fields{"name": it.Name, "description": it.Description, "website_url": it.WebsiteURL, "repository": it.Repository,
		"logo_url": it.LogoURL, "icon_url": it.IconURL, "forbids_device": it.ForbidsDevice}
	for name, wanted := range fields {
		if emails, several := wanted.([]string); several {
			if !slices.Equal(slices.Sorted(slices.Values(emails)), slices.Sorted(slices.Values(it.AdminEmails))) {
				return false
			}
		} else if wanted != is[name] {
			return false
		}
	}
	return true
}

// edit makes the organization what a configuration says, one thing after the other. What is done is kept, whatever fails after it;
// before is what the state had. What the configuration does not say is left alone.
func (r *organizationResource) edit(ctx context.Context, config, plan, before organizationModel, keep func(organizationModel), diagnostics *diag.Diagnostics) {
	fields := config.fields(ctx, diagnostics)
	it, err := r.of.Itself(ctx)
	if err == nil && !isAs(fields, it) {
		it, err = r.of.Edit(ctx, it.ETag, fields)
	}
	if err != nil {
		tell(diagnostics, "The organization cannot be changed", err)
		return
	}
	done := plan
	done.read(it)
	done.TokenPolicy, done.EventRetention, done.SignIn = before.TokenPolicy, before.EventRetention, before.SignIn
	keep(done)
	policy, ok := r.setPolicy(ctx, config.TokenPolicy, plan.TokenPolicy, diagnostics)
	if !ok {
		return
	}
	done.TokenPolicy = policy
	keep(done)
	if done.EventRetention, ok = r.setRetention(ctx, config.EventRetention, plan.EventRetention, diagnostics); !ok {
		return
	}
	if done.SignIn = plan.SignIn; plan.SignIn.IsUnknown() {
		done.SignIn = r.seenSignIn(ctx, plan.SignIn, diagnostics)
	}
	keep(done)
}

func (r *organizationResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan, config organizationModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.Config, &config}) {
		return
	}
	made := plan
	r.edit(ctx, config, plan, plan, func(it organizationModel) { made = it }, &response.Diagnostics)
	// What was taken over in part is taken over once more: nothing of it is lost without a state.
	if !response.Diagnostics.HasError() {
		response.Diagnostics.Append(response.State.Set(ctx, made)...)
	}
}

func (r *organizationResource) Read(ctx context.Context, request resource.ReadRequest, response *resource.ReadResponse) {
	var state organizationModel
	if !take(ctx, &response.Diagnostics, sent{request.State, &state}) {
		return
	}
	if state.ID.ValueString() != r.of.ID {
		response.Diagnostics.AddError("The organization is another one",
			"The state has the organization `"+state.ID.ValueString()+"`, and this provider manages `"+r.of.Name+"` ("+r.of.ID+"). Nothing was taken out of the state.")
		return
	}
	it, err := r.of.Itself(ctx)
	if err != nil {
		tell(&response.Diagnostics, "The organization cannot be read", err)
		return
	}
	state.read(it)
	r.readSettings(ctx, &state, &response.Diagnostics)
	if !response.Diagnostics.HasError() {
		response.Diagnostics.Append(response.State.Set(ctx, state)...)
	}
}

func (r *organizationResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan, state, config organizationModel
	if !take(ctx, &response.Diagnostics, sent{request.Plan, &plan}, sent{request.State, &state}, sent{request.Config, &config}) {
		return
	}
	keep := func(it organizationModel) { response.Diagnostics.Append(response.State.Set(ctx, it)...) }
	r.edit(ctx, config, plan, state, keep, &response.Diagnostics)
}

func (r *organizationResource) Delete(_ context.Context, _ resource.DeleteRequest, response *resource.DeleteResponse) {
	response.Diagnostics.AddWarning("The organization is forgotten, and not deleted",
		"`"+r.of.Name+"` stays as it is, with all that belongs to it. Its owner can delete it in the console.")
}

func (r *organizationResource) ImportState(ctx context.Context, request resource.ImportStateRequest, response *resource.ImportStateResponse) {
	r.importAs(ctx, request, response, "organization", path.Root("id"), func(wanted string) (string, error) {
		return r.of.ID, own(r.of, wanted)
	})
}
