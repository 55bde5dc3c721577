package emulator

import "net/http"

// classification is an industry, or a group of them, that businesses choose from.
type classification struct {
	id, name   string
	industries []classification // nil for an industry
}

// classifications is an excerpt of Dwolla's list. The ids are Dwolla's where its
// documentation shows them, and made up otherwise.
func classifications() []classification {
	return []classification{
		{"9ed3f669-7d6f-11e3-b545-5404a6144203", "Food retail and service", []classification{
			{"9ed3f66a-7d6f-11e3-86ae-5404a6144203", "Gourmet foods", nil},
			{"9ed3f66b-7d6f-11e3-95ac-5404a6144203", "Wineries", nil},
			{defaultIndustry, "Restaurants", nil},
		}},
		{"9ed3a866-7d6f-11e3-a0ce-5404a6144203", "Entertainment and media", []classification{
			{"9ed3f670-7d6f-11e3-b1ce-5404a6144203", "Books and magazines", nil},
			{"9ed3f671-7d6f-11e3-803c-5404a6144203", "Music and video", nil},
		}},
		{"9ed38136-7d6f-11e3-9d1f-5404a6144203", "Business to business", []classification{
			{"9ed38155-7d6f-11e3-83c3-5404a6144203", "Consulting", nil},
			{"9ed38156-7d6f-11e3-8b5f-5404a6144203", "Accounting", nil},
		}},
	}
}

const defaultIndustry = "9ed3f66f-7d6f-11e3-803f-5404a6144203"

func knownIndustry(id string) bool {
	for _, group := range classifications() {
		for _, industry := range group.industries {
			if industry.id == id {
				return true
			}
		}
	}
	return false
}

type industryResource struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type classificationResource struct {
	Links    selfLinks `json:"_links"`
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Embedded struct {
		Industries []industryResource `json:"industry-classifications"`
	} `json:"_embedded"`
}

func (c call) classificationResource(group classification) classificationResource {
	r := classificationResource{
		Links: selfLinks{Self: c.link(classificationsPath+"/"+group.id, "business-classification")},
		ID:    group.id, Name: group.name,
	}
	for _, industry := range group.industries {
		r.Embedded.Industries = append(r.Embedded.Industries, industryResource{ID: industry.id, Name: industry.name})
	}
	return r
}

func (*Emulator) listClassifications(c call) answer {
	var groups []classificationResource
	for _, group := range classifications() {
		groups = append(groups, c.classificationResource(group))
	}
	return list(c, classificationsPath, "business-classification", groups)
}

func (*Emulator) readClassification(c call) answer {
	for _, group := range classifications() {
		if group.id == c.id {
			return answer{status: http.StatusOK, body: c.classificationResource(group)}
		}
	}
	return refuse(http.StatusNotFound, "The business classification was not found.")
}
