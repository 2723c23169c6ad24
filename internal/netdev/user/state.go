package user

import (
	"errors"

	"goemu/migration/vmstate"
)

// stateVersion is the version of libslirp's state.
const stateVersion = 4

// state is what migrates, in libslirp's layout: connections of guestfwd, which we have none of, behind a byte 42 each, a byte 0, be16 the
// last identifier of an IP packet, and for each address of DHCP be16 whether it was given out and the Ethernet address it was given to.
// Connections of the guest do not migrate.
type state struct{ u *Network }

// State implements netdev.Stateful.
func (u *Network) State() vmstate.State { return state{u} }

// Layout implements vmstate.State.
func (state) Layout() *vmstate.Layout {
	return &vmstate.Layout{Name: "slirp", Version: stateVersion, MinVersion: stateVersion}
}

// Save implements vmstate.State.
func (s state) Save(w *vmstate.Writer) {
	l := &s.u.dhcpd
	l.mu.Lock()
	defer l.mu.Unlock()
	b := be.AppendUint16([]byte{0}, uint16(s.u.ipID.Load()))
	for i := range l.used {
		var used uint16
		if l.used[i] {
			used = 1
		}
		b = append(be.AppendUint16(b, used), l.macs[i][:]...)
	}
	vmstate.SaveRaw(w, "", stateVersion, b)
}

// Load implements vmstate.State.
func (s state) Load(r *vmstate.Reader, version int) error {
	if version != stateVersion {
		return errors.New("a state of libslirp of another version")
	}
	if r.U8() != 0 {
		return errors.New("connections of guestfwd cannot be taken over")
	}
	l := &s.u.dhcpd
	l.mu.Lock()
	s.u.ipID.Store(uint32(r.U16()))
	var known [dhcpAddresses]bool
	for i := range l.used {
		l.used[i] = r.U16() != 0
		if b := r.Raw(6); b != nil {
			l.macs[i], known[i] = mac(b), l.used[i]
		}
	}
	macs := l.macs
	l.mu.Unlock()
	for i, on := range known {
		if on {
			s.u.learn(addr4(num4(s.u.dhcp)+uint32(i)), macs[i])
		}
	}
	return r.Err()
}
