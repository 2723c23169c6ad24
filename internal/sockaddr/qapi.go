package sockaddr

import "goemu/qapi"

// Of is the address that a command or option names.
func Of(a *qapi.SocketAddress) *Addr {
	out := &Addr{Type: Type(a.Type)}
	switch {
	case a.Inet != nil:
		i := a.Inet
		out.Host, out.Port, out.IPv4, out.IPv6 = i.Host, i.Port, i.Ipv4, i.Ipv6
		out.KeepAlive, out.Numeric = i.KeepAlive != nil && *i.KeepAlive, i.Numeric != nil && *i.Numeric
		if i.To != nil {
			out.To = int(*i.To)
		}
	case a.Unix != nil:
		out.Path, out.Abstract = a.Unix.Path, a.Unix.Abstract != nil && *a.Unix.Abstract
		out.Loose = a.Unix.Tight != nil && !*a.Unix.Tight
	case a.Vsock != nil:
		out.Host, out.Port = a.Vsock.Cid, a.Vsock.Port
	case a.Fd != nil:
		out.FD = a.Fd.Str
	}
	return out
}
