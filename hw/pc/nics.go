package pc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"goemu/hw/pci"
	"goemu/hw/qdev"
	"goemu/internal/netdev"
)

// nicModels are the models of NICs on PCI.
func (m *Machine) nicModels() (list []string) {
	for _, name := range m.cfg.Registry.Names() {
		c := m.cfg.Registry.Lookup(name)
		if c.Category == qdev.Network && c.Bus == "PCI" && !c.Internal {
			list = append(list, name)
		}
	}
	return list
}

// NICHelp is the answer to a model of "help".
type NICHelp string

// Error implements error.
func (h NICHelp) Error() string { return string(h) }

// AddNICs makes the NICs that -nic and -net nic ask for.
func (m *Machine) AddNICs(set *netdev.Set) error {
	if m.cfg.Type.NIC == "" {
		return nil
	}
	for _, n := range set.NICs() {
		if err := m.addNIC(n); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) addNIC(n *netdev.NICInfo) error {
	models := m.nicModels()
	switch n.Model {
	case "help", "?":
		return NICHelp("Supported NIC models:\n" + strings.Join(models, "\n") + "\n")
	case "":
		n.Model = m.cfg.Type.NIC
	case "virtio":
		n.Model = "virtio-net-pci"
	}
	c := m.cfg.Registry.Lookup(n.Model)
	if c == nil || c.Name != n.Model || c.Category != qdev.Network || c.Bus != "PCI" {
		return fmt.Errorf("Unsupported NIC model: %s", n.Model)
	}
	s := []qdev.Setting{{Name: "mac", Value: netdev.FormatMAC(n.MAC[:])}}
	if n.Peer != nil {
		s = append(s, qdev.Setting{Name: "netdev", Value: n.Peer.Name})
	}
	if n.Addr != "" {
		slot, err := strconv.ParseUint(n.Addr, 0, 5)
		if err != nil {
			return fmt.Errorf("Invalid PCI device address %s for device %s", n.Addr, n.Model)
		}
		s = append(s, qdev.Setting{Name: "addr", Value: strconv.FormatUint(slot, 16)})
	}
	d, err := m.Tree.New(c)
	if err != nil {
		return err
	}
	if n.Vectors >= 0 && qdev.HasProperty(d, "vectors") {
		s = append(s, qdev.Setting{Name: "vectors", Value: strconv.FormatInt(n.Vectors, 10)})
	}
	for _, p := range s {
		if err := qdev.Set(d, &m.Tree.Links, p.Name, p.Value); err != nil {
			return err
		}
	}
	if m.pci == nil {
		return errors.New("No primary PCI bus")
	}
	if f, ok := d.(pci.Function); ok && !f.PCI().HasROM() { // a network without a boot ROM is better than none
		f.PCI().DefaultROM("")
	}
	n.Made = true
	return qdev.Realize(d, m.pci)
}
