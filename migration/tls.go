package migration

import (
	"goemu/internal/tlscreds"
	"goemu/migration/channel"
)

// secureOut makes the channel of a source secure if the parameters ask for that. host is the destination's name in the URI.
func (e *Engine) secureOut(ch channel.Channel, host string) (channel.Channel, error) {
	p := e.Parameters()
	if p.TlsCreds == "" {
		return ch, nil
	}
	creds, err := tlscreds.Find(e.M.Graph.Object, p.TlsCreds, tlscreds.Client)
	if err != nil {
		return nil, err
	}
	if p.TlsHostname != "" {
		host = p.TlsHostname
	}
	return channel.SecureClient(ch, creds, host)
}

// secureIn makes the channel of a destination secure if the parameters ask for that.
func (e *Engine) secureIn(ch channel.Channel) (channel.Channel, error) {
	p := e.Parameters()
	if p.TlsCreds == "" {
		return ch, nil
	}
	creds, err := tlscreds.Find(e.M.Graph.Object, p.TlsCreds, tlscreds.Server)
	if err != nil {
		return nil, err
	}
	var authz tlscreds.Authorizer
	if p.TlsAuthz != "" {
		authz = tlscreds.Late{Object: e.M.Graph.Object, ID: p.TlsAuthz}
	}
	return channel.SecureServer(ch, creds, authz)
}
