package main

import (
	"slices"

	"goemu/hw/virtio/fs"
	"goemu/internal/config"
	"goemu/internal/netdev"
	"goemu/internal/netdev/filter"
	"goemu/internal/netdev/vhostuser"
	"goemu/qapi"
)

// openNetwork makes the back ends of the network and notes the NICs that the machine is to make.
func (h *backends) openNetwork(s *session) error {
	h.net = netKinds(h.chars)
	h.net.Warn, h.net.ShowVnetHdr = warn, s.config.Props.UserOffloads
	filter.FindChardev, vhostuser.FindChardev = h.chars.Find, h.chars.Find
	fs.Warn = warn
	vhostuser.Block, vhostuser.Unblock = s.migration.AddBlocker, s.migration.RemoveBlocker
	filter.Forget = func(id string) { _ = h.objects.Remove(id) }
	vm := s.vm
	h.defaultNet = len(vm.Netdevs) == 0 && len(vm.NICs) == 0 && len(vm.Nets) == 0 && !vm.NoDefaults && s.typ.NIC != ""
	if h.defaultNet {
		vm.Nets = []config.Source{{Value: "nic"}, {Value: "user"}}
	}
	for _, modern := range []bool{true, false} {
		for _, o := range vm.Netdevs {
			if err := h.openNetdev(o.Value, modern); err != nil {
				return at(o.Origin, err)
			}
		}
	}
	for _, o := range vm.NICs {
		if err := h.openNIC(o.Value); err != nil {
			return at(o.Origin, err)
		}
	}
	for _, o := range vm.Nets {
		pairs := netdev.SplitOpts(o.Value)
		if _, ok := option(pairs, "id"); !ok {
			pairs = append(pairs, [2]string{"id", h.net.NewID()})
		}
		n, err := netdev.FromOpts(pairs)
		if err == nil {
			err = h.net.OpenLegacy(n)
		}
		if err != nil {
			return at(o.Origin, err)
		}
	}
	return nil
}

// openNetdev makes the back end of -netdev if it is written in the newer syntaxes, or not, as modern says.
func (h *backends) openNetdev(text string, modern bool) error {
	pairs := netdev.SplitOpts(text)
	typ, _ := option(pairs, "type")
	if netdev.IsModern(text, typ) != modern {
		return nil
	}
	var n *qapi.Netdev
	var err error
	if modern {
		n, err = netdev.ParseModern(text)
	} else {
		n, err = netdev.FromOpts(pairs)
	}
	if err != nil {
		return err
	}
	return h.net.Open(n)
}

// openNIC makes the back end of -nic and notes its NIC.
func (h *backends) openNIC(text string) error {
	pairs := netdev.SplitOpts(text)
	typ, ok := option(pairs, "type")
	if typ == "none" {
		return nil
	}
	if !ok {
		pairs = append(pairs, [2]string{"type", "user"})
	}
	id, ok := option(pairs, "id")
	if !ok {
		id = h.net.NewID()
		pairs = append(pairs, [2]string{"id", id})
	}
	model, _ := option(pairs, "model")
	var mac *string
	if v, ok := option(pairs, "mac"); ok {
		mac = &v
	}
	info, err := h.net.ReserveNIC("", model, mac)
	if err != nil {
		return err
	}
	n, err := netdev.FromOpts(slices.DeleteFunc(pairs, func(p [2]string) bool { return p[0] == "model" || p[0] == "mac" }))
	if err != nil {
		return err
	}
	if err := h.net.Open(n); err != nil {
		return err
	}
	h.net.AddNIC(info, id)
	return nil
}

// option is the last value of a name.
func option(pairs [][2]string, name string) (v string, ok bool) {
	for _, p := range pairs {
		if p[0] == name {
			v, ok = p[1], true
		}
	}
	return v, ok
}

// addNICs makes the machine's NICs.
func (s *session) addNICs() error {
	return s.machine.AddNICs(s.host.net)
}

// checkNetwork warns of what is not connected.
func (s *session) checkNetwork() {
	if !s.host.defaultNet && (s.vm.QTest.Value == "" || !s.vm.NoDefaults) {
		s.host.net.Check(s.vm.QTest.Value != "")
	}
}
