// Package audiodev is the back ends of sound (-audiodev). The only driver is none: what is played is not heard.
package audiodev

// Device is a back end.
type Device struct{ ID string }

// Find returns the back end with an identifier out of those that there are.
func Find(ids []string, id string) (*Device, bool) {
	for _, known := range ids {
		if known == id {
			return &Device{ID: id}, true
		}
	}
	return nil, false
}
