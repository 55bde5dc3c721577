package main

import "html/template"

// tab is one tab of the demo page.
type tab struct {
	ID     string // of the component, without its prefix
	Title  string
	About  string
	Tip    string // what to type or to watch
	Suits  string // the demo user who can finish it
	Markup string // as a developer writes it

	// TipInside marks a tip about the inspector, the policies or the faults. A page has
	// them only with the service in the same process.
	TipInside bool
}

// Live is the markup for the page. It is the very text that the page shows as code.
func (t tab) Live() template.HTML {
	return template.HTML(t.Markup) //nolint:gosec // a constant of this file
}

// Suitor returns the name of a user able to finish the tab.
func (t tab) Suitor() string {
	if t.Suits == newUser {
		return "a new user"
	}
	return t.Suits
}

// newUser stands for a user made by the page.
const newUser = "new"

// legal are attributes of most components.
const legal = `
  terms="https://example.com/terms"
  privacy="https://example.com/privacy"`

// tabs returns one tab for each drop-in component.
func tabs() []tab { return append(customerTabs(), moneyTabs()...) }

func customerTabs() []tab {
	return []tab{
		{
			ID: "customer-create", Title: "Create a Customer", Suits: newUser,
			About:     "Creates an unverified Customer. dropgate proves by the correlationId that it belongs to the signed-in user, and links it at once.",
			TipInside: true, Tip: "Watch the inspector: one token for customer.create, then the link.",
			Markup: `<dwolla-customer-create` + legal + `></dwolla-customer-create>`,
		},
		{
			ID: "customer-update", Title: "Update a Customer", Suits: "dave",
			About:  "Changes an unverified Customer, or upgrades it to a verified one.",
			Tip:    "The page names no Customer: dropgate.js fills in the user's own.",
			Markup: `<dwolla-customer-update` + legal + `></dwolla-customer-update>`,
		},
		{
			ID: "personal-vcr", Title: "Personal verified", Suits: newUser,
			About:  "Creates a personal verified Customer. Dwolla may ask again, or for a document, within the same component.",
			Tip:    "The first names retry, document and suspended steer the verification, as in Dwolla's sandbox.",
			Markup: `<dwolla-personal-vcr` + legal + `></dwolla-personal-vcr>`,
		},
		{
			ID: "business-vcr", Title: "Business verified", Suits: newUser,
			About:  "Creates a business verified Customer in three pages.",
			Tip:    "The list of business classifications is read before there is a Customer.",
			Markup: `<dwolla-business-vcr` + legal + `></dwolla-business-vcr>`,
		},
		{
			ID: "beneficial-owners", Title: "Beneficial owners", Suits: "bob",
			About:     "Adds, changes and removes the owners of a business, and certifies them.",
			TipInside: true, Tip: "Bob may only read at first. Set his policy to all, and certify.",
			Markup: `<dwolla-beneficial-owners></dwolla-beneficial-owners>`,
		},
		{
			ID: "document-upload", Title: "Upload a document", Suits: "erin",
			About:  "Sends a photo of a passport or license for a Customer in status document.",
			Tip:    "Any small PNG, JPEG or PDF will do. It stays in the memory of the emulator.",
			Markup: `<dwolla-document-upload></dwolla-document-upload>`,
		},
	}
}

func moneyTabs() []tab {
	return []tab{
		{
			ID: "funding-source-create", Title: "Add a bank", Suits: "alice",
			About:  "Adds a bank account, and starts the two small deposits that verify it.",
			Tip:    "222222226 is a valid routing number. Any account number of 4 to 17 digits will do.",
			Markup: "<dwolla-funding-source-create\n  initiateMicroDeposits></dwolla-funding-source-create>",
		},
		{
			ID: "micro-deposits-verify", Title: "Verify a bank", Suits: "alice",
			About:  "Asks for the amounts of the two small deposits.",
			Tip:    "Any two amounts below 0.10 are right, except 0.09 twice. Dwolla gives up after three wrong attempts.",
			Markup: "<dwolla-micro-deposits-verify\n  fundingSourceId=\"" + demoAlicesNewBank + "\"></dwolla-micro-deposits-verify>",
		},
		{
			ID: "balance-display", Title: "Show the balance", Suits: "alice",
			About:     "Shows the balance that a Customer keeps at Dwolla.",
			TipInside: true, Tip: "One token, one call. Switch on a fault of Dwolla, and load it again.",
			Markup: `<dwolla-balance-display></dwolla-balance-display>`,
		},
		{
			ID: "payin", Title: "Pay in", Suits: "alice",
			About:  "Lists the banks to pay from. The token for the transfer itself comes from the application's backend: dropgate never lets a browser choose an amount or a destination.",
			Tip:    "The stand-in ends before the transfer.",
			Markup: "<dwolla-payin\n  amount=\"25.00\"></dwolla-payin>",
		},
		{
			ID: "account-opening", Title: "Open an account", Suits: "alice",
			About:  "Dwolla has not published what this component calls, so dropgate allows it nothing.",
			Tip:    "Dwolla's own library shows it: start the sandbox with -dwolla-web.",
			Markup: "<dwolla-account-opening\n  clientAccountId=\"your account\"></dwolla-account-opening>",
		},
	}
}

// integration is the markup for the head of a page. library is the URL of Dwolla's
// library; styles, of the style sheet for the components.
func integration(library, styles string) string {
	return `<script src="` + template.HTMLEscapeString(library) + `"></script>
<script src="` + basePath + `/dropgate.js" data-environment="sandbox"
  data-styles="` + styles + `"></script>`
}
