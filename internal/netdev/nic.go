package netdev

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"goemu/qapi"
)

// MaxNICs is how many NICs -nic and -net nic may ask for.
const MaxNICs = 8

// NICInfo is a NIC that -nic or -net nic asks for; the machine makes it.
type NICInfo struct {
	Name, Model, Addr string
	MAC               [6]byte
	Vectors           int64 // -1: the model's choice
	Peer              *Client
	Made              bool
}

// NICs are those that the machine is to make.
func (s *Set) NICs() []*NICInfo { return s.nics }

// ParseMAC reads an Ethernet address.
func ParseMAC(text string) (mac [6]byte, err error) {
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == '-' })
	bad := errors.New("invalid syntax for ethernet address")
	if len(parts) != 6 {
		// A single number sets the last two bytes.
		n, err := strconv.ParseUint(text, 0, 32)
		if err != nil || n > 0xffffff {
			return mac, bad
		}
		return [6]byte{0x52, 0x54, 0x00, byte(n >> 16), byte(n >> 8), byte(n)}, nil
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 16, 8)
		if err != nil {
			return mac, bad
		}
		mac[i] = byte(v)
	}
	return mac, nil
}

// openNIC is the Opener of -net nic.
func openNIC(s *Set, n *qapi.Netdev, peer *Client) error {
	if len(s.nics) == MaxNICs {
		return qapi.Errorf("too many NICs")
	}
	i := &NICInfo{Name: n.Id, Vectors: -1, Peer: peer}
	o := n.Nic
	if o.Netdev != nil {
		c, ok := s.Find(*o.Netdev)
		if !ok {
			return qapi.Errorf("netdev '%s' not found", *o.Netdev)
		}
		i.Peer = c
	}
	if o.Model != nil {
		i.Model = *o.Model
	}
	if o.Addr != nil {
		i.Addr = *o.Addr
	}
	if o.Vectors != nil {
		if *o.Vectors > 0x7ffffff {
			return qapi.Errorf("invalid # of vectors: %d", *o.Vectors)
		}
		i.Vectors = int64(*o.Vectors)
	}
	return s.addNIC(i, o.Macaddr, "NIC cannot have multicast MAC address (odd 1st byte)")
}

// ReserveNIC checks what -nic says about the NIC itself, before its back end is made. Preconditions: AddNIC follows once that is made.
func (s *Set) ReserveNIC(name, model string, mac *string) (*NICInfo, error) {
	if len(s.nics) == MaxNICs {
		return nil, errors.New("no more on-board/default NIC slots available")
	}
	i := &NICInfo{Name: name, Model: model, Vectors: -1}
	return i, s.readMAC(i, mac, "NIC cannot have multicast MAC address")
}

// AddNIC takes the NIC into the list of those to be made, at the back end of that name.
func (s *Set) AddNIC(i *NICInfo, netdev string) {
	i.Peer, _ = s.Find(netdev)
	s.nics = append(s.nics, i)
}

func (s *Set) addNIC(i *NICInfo, mac *string, multicast string) error {
	if err := s.readMAC(i, mac, multicast); err != nil {
		return err
	}
	s.nics = append(s.nics, i)
	return nil
}

func (s *Set) readMAC(i *NICInfo, mac *string, multicast string) (err error) {
	if mac != nil {
		if i.MAC, err = ParseMAC(*mac); err != nil {
			return err
		}
		if i.MAC[0]&1 != 0 {
			return errors.New(multicast)
		}
	}
	s.UseMAC(&i.MAC)
	return nil
}

// firstMAC is the last byte of the first default address.
const firstMAC = 0x56

func isDefault(mac *[6]byte) bool { return [5]byte(mac[:5]) == [5]byte{0x52, 0x54, 0x00, 0x12, 0x34} }

// UseMAC gives a NIC without an address the first default one that is free, and notes that the address is in use.
func (s *Set) UseMAC(mac *[6]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *mac == ([6]byte{}) {
		*mac = [6]byte{0x52, 0x54, 0x00, 0x12, 0x34, 0xff}
		for i := firstMAC; i < len(s.macs); i++ {
			if s.macs[i] == 0 {
				mac[5] = byte(i)
				break
			}
		}
	}
	if isDefault(mac) {
		s.macs[mac[5]]++
	}
}

// FreeMAC says that an address is not in use any more.
func (s *Set) FreeMAC(mac [6]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isDefault(&mac) && s.macs[mac[5]] > 0 {
		s.macs[mac[5]]--
	}
}

// NIC is a network device's part of the set: a client for each queue.
type NIC struct {
	Clients []*Client
	MAC     [6]byte
	// Announce makes the guest tell its neighbours of itself; RxFilter is what query-rx-filter says. nil where the device cannot.
	Announce func()
	RxFilter func() *qapi.RxFilterInfo

	set *Set
}

// FormatMAC writes an Ethernet address.
func FormatMAC(m []byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// NewNIC makes the clients of a device: a queue for each of the ports, connected to the back end.
// Preconditions: nobody else is connected to the back end.
func (s *Set) NewNIC(model, id string, mac [6]byte, peer *Peer, ports []Port) *NIC {
	n := &NIC{MAC: mac, set: s}
	for i, p := range ports {
		var with *Client
		if i < peer.Queues() {
			with = peer.clients[i]
		}
		c := &Client{Name: id, Kind: KindNIC, Model: model, Index: i, nic: n}
		if i > 0 {
			c.Name = n.Clients[0].Name
		}
		n.Clients = append(n.Clients, s.Add(c, p, with))
	}
	n.ShowMAC(mac)
	for _, c := range n.Clients { // the back end may have waited for somebody to send to
		c.wakePeer()
	}
	return n
}

// ShowMAC tells info network of the address that the NIC answers to.
func (n *NIC) ShowMAC(mac [6]byte) {
	n.MAC = mac
	for _, c := range n.Clients {
		c.SetInfo("model=%s,macaddr=%s", c.Model, FormatMAC(mac[:]))
	}
}

// Resume tells the back ends that the machine runs again.
func (n *NIC) Resume() {
	for _, c := range n.Clients {
		c.Ready()
	}
}

// Close takes the NIC out of the set; its back end stays.
func (n *NIC) Close() {
	for _, c := range n.Clients {
		n.set.remove(c)
	}
}
