package provider

import (
	"context"

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

var _ resource.ResourceWithImportState = (*organizationResource)(nil)

type organizationModel struct {
	ID          types.String `tfsdk:"id"`
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	WebsiteURL  types.String `tfsdk:"website_url"`
	Repository  types.String `tfsdk:"repository"`
	LogoURL     types.String `tfsdk:"logo_url"`
	IconURL     types.String `tfsdk:"icon_url"`
	AdminEmails types.Set    `tfsdk:"admin_emails"`
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
}

func (m *organizationModel) read(it api.Organization) {
	m.ID, m.Name = types.StringValue(it.ID), types.StringValue(it.Name)
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
	if !m.AdminEmails.IsNull() && !m.AdminEmails.IsUnknown() {
		fields["admin_emails"] = texts(ctx, m.AdminEmails, diagnostics)
	}
	return fields
}

// edit makes the organization what a plan says.
func (r *organizationResource) edit(ctx context.Context, plan *organizationModel, diagnostics *diag.Diagnostics) bool {
	it, err := r.of.Itself(ctx)
	if err == nil {
		it, err = r.of.Edit(ctx, it.ETag, plan.fields(ctx, diagnostics))
	}
	if err != nil {
		tell(diagnostics, "The organization cannot be changed", err)
		return false
	}
	plan.read(it)
	return true
}

func (r *organizationResource) Create(ctx context.Context, request resource.CreateRequest, response *resource.CreateResponse) {
	var plan organizationModel
	if take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) && r.edit(ctx, &plan, &response.Diagnostics) {
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
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
	response.Diagnostics.Append(response.State.Set(ctx, state)...)
}

func (r *organizationResource) Update(ctx context.Context, request resource.UpdateRequest, response *resource.UpdateResponse) {
	var plan organizationModel
	if take(ctx, &response.Diagnostics, sent{request.Plan, &plan}) && r.edit(ctx, &plan, &response.Diagnostics) {
		response.Diagnostics.Append(response.State.Set(ctx, plan)...)
	}
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
