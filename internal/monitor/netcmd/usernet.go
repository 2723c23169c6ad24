package netcmd

import (
	"goemu/internal/monitor/hmp"
	"goemu/internal/netdev/user"
)

// userHMP are the commands about back ends of the kind user.
func (s *Service) userHMP() (commands, info []*hmp.Command) {
	commands = []*hmp.Command{
		{Name: "hostfwd_add", Args: "arg1:s,arg2:s?", Params: "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
			Help: "redirect TCP or UDP connections from host to guest (requires -net user)", Run: s.hmpHostForward},
		{Name: "hostfwd_remove", Args: "arg1:s,arg2:s?", Params: "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
			Help: "remove host-to-guest TCP or UDP redirection", Run: s.hmpRemoveForward},
	}
	info = []*hmp.Command{{Name: "usernet", Help: "show user network stack connection states", Run: s.hmpUsernet}}
	return commands, info
}

// network is the network that a command is about, and its rule; nil if there is none, which people are told.
func (s *Service) network(m *hmp.Monitor, a *hmp.Args) (u *user.Network, rule string) {
	rule = a.Text("arg1")
	second, named := a.String("arg2")
	list := user.Networks(s.Set)
	if !named {
		if len(list) == 0 {
			m.Printf("user mode network stack not in use\n")
			return nil, ""
		}
		return list[0], rule
	}
	c, ok := s.Set.Find(rule)
	if !ok {
		m.Printf("unrecognized netdev id '%s'\n", rule)
		return nil, ""
	}
	if u, ok = c.Port().(*user.Network); !ok {
		m.Printf("invalid device specified\n")
	}
	return u, second
}

func (s *Service) hmpHostForward(m *hmp.Monitor, a *hmp.Args) error {
	u, rule := s.network(m, a)
	if u == nil {
		return nil
	}
	return u.AddHostForward(rule)
}

func (s *Service) hmpRemoveForward(m *hmp.Monitor, a *hmp.Args) error {
	u, rule := s.network(m, a)
	if u == nil {
		return nil
	}
	found, valid := u.RemoveHostForward(rule)
	switch {
	case !valid:
		m.Printf("invalid format\n")
	case found:
		m.Printf("host forwarding rule for %s removed\n", rule)
	default:
		m.Printf("host forwarding rule for %s not found\n", rule)
	}
	return nil
}

func (s *Service) hmpUsernet(m *hmp.Monitor, _ *hmp.Args) error {
	for _, u := range user.Networks(s.Set) {
		hub := -1
		if h := u.Client().Hub(); h != nil {
			hub = h.ID
		}
		m.Printf("Hub %d (%s):\n%s", hub, u.Client().Name, u.Info())
	}
	return nil
}
