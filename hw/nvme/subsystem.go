package nvme

import (
	"errors"

	"goemu/hw/qdev"
)

// maxControllers is the largest number of controllers in a subsystem.
const maxControllers = 256

// Subsystem is the device type nvme-subsys: controllers that have namespaces in common (section 1.6).
type Subsystem struct {
	qdev.Base
	NQN string `prop:"nqn"`

	bus         nsBus
	serial      string
	controllers [maxControllers]*Controller
	namespaces  [maxNamespaces + 1]*Namespace
}

// PropertyType implements qdev.TypeNamer for links.
func (*Subsystem) PropertyType() string { return "link<nvme-subsys>" }

// Realize implements qdev.Device.
func (s *Subsystem) Realize() error {
	name := s.NQN
	if name == "" {
		name = s.ID()
	}
	s.NQN = name
	qdev.InitBus(&s.bus, s, busType, s.ID(), 0)
	return nil
}

// Unrealize implements qdev.Device.
func (s *Subsystem) Unrealize() {}

// Reset implements qdev.Device.
func (s *Subsystem) Reset() {}

// ns returns a namespace, nil if there is none with the number or no subsystem.
func (s *Subsystem) ns(id uint32) *Namespace {
	if s == nil || id == 0 || id > maxNamespaces {
		return nil
	}
	return s.namespaces[id]
}

// enter gives a controller its number and the namespaces that are for all.
func (s *Subsystem) enter(c *Controller) error {
	if s == nil {
		return nil
	}
	if s.serial != "" && s.serial != c.Serial {
		return errors.New("invalid controller serial")
	}
	for i, other := range s.controllers {
		if other != nil {
			continue
		}
		s.controllers[i], c.number, s.serial = c, uint16(i), c.Serial
		for _, n := range s.namespaces {
			if n != nil && n.Shared && !n.Detached {
				c.attach(n)
			}
		}
		return nil
	}
	return errors.New("no more free controller id")
}

// leave takes a controller out.
func (s *Subsystem) leave(c *Controller) {
	if s == nil {
		return
	}
	for _, n := range c.namespaces {
		if n != nil {
			n.attached--
		}
	}
	s.controllers[c.number] = nil
}

// add takes a namespace of a controller in.
func (s *Subsystem) add(n *Namespace, c *Controller) {
	s.namespaces[n.NSID] = n
	switch {
	case n.Detached:
	case n.Shared:
		for _, c := range s.controllers {
			if c != nil {
				c.attach(n)
			}
		}
	default:
		c.attach(n)
	}
}

// remove takes a namespace out, everywhere.
func (s *Subsystem) remove(n *Namespace) {
	s.namespaces[n.NSID] = nil
	for _, c := range s.controllers {
		if c != nil && c.namespaces[n.NSID] == n {
			c.detach(n)
		}
	}
}

// A list of controllers (section 4.11): le16 number, le16 controllers.
const controllerListBytes = 4096

// listControllers lists those from first on, only those with a namespace if id is not 0.
func (s *Subsystem) listControllers(b []byte, first uint16, id uint32) {
	n := 0
	for i := int(first); i < maxControllers; i++ {
		if c := s.controllers[i]; c != nil && (id == 0 || c.ns(id) != nil) {
			n++
			le.PutUint16(b[2*n:], uint16(i))
		}
	}
	le.PutUint16(b, uint16(n))
}

// What is to be done with a namespace (section 5.12).
const (
	attachNamespace = 0
	detachNamespace = 1
)

// attachment attaches a namespace to controllers, or detaches it, and tells their drivers.
func (c *Controller) attachment(r *request) status {
	id := r.nsid()
	if !validNSID(id) {
		return invalidNSID
	}
	n := c.Subsys.ns(id)
	if n == nil {
		return invalidField
	}
	list, s := c.fetch(r, controllerListBytes)
	if s != success {
		return s
	}
	count := min(int(le.Uint16(list)), controllerListBytes/2-1)
	if count == 0 {
		return badControllers
	}
	for i := range count {
		number := le.Uint16(list[2+2*i:])
		if number >= maxControllers || c.Subsys.controllers[number] == nil {
			return badControllers
		}
		to := c.Subsys.controllers[number]
		switch r.dw(10) & 15 {
		case attachNamespace:
			switch {
			case to.ns(id) != nil:
				return alreadyAttached
			case n.attached > 0 && !n.Shared:
				return privateNamespace
			}
			to.attach(n)
		case detachNamespace:
			if to.ns(id) == nil {
				return notAttached
			}
			to.detach(n)
		default:
			return invalidField
		}
		to.noteChange(id)
	}
	return success
}

// noteChange tells the driver that a namespace has come or gone, once until it looks which.
func (c *Controller) noteChange(id uint32) {
	if !c.changed[id] {
		c.changed[id] = true
		c.enqueueEvent(event{eventNotice, eventNamespaces, logChanged})
	}
}

// changedLog lists the namespaces that have come or gone since the last time.
func (c *Controller) changedLog() []byte {
	b := make([]byte, changedLogBytes)
	at := 0
	for id, yes := range c.changed {
		if yes {
			le.PutUint32(b[at:], uint32(id))
			at += 4
		}
	}
	clear(c.changed[:])
	return b
}

const nqnPrefix = "nqn.2019-08.org.qemu:"

// name is the subsystem's NQN, which a controller alone has, too.
func (c *Controller) name() string {
	if c.Subsys != nil {
		return nqnPrefix + c.Subsys.NQN
	}
	return nqnPrefix + c.Serial
}
