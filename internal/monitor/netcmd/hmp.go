package netcmd

import (
	"strings"

	"goemu/internal/monitor/hmp"
	"goemu/internal/netdev"
	"goemu/qapi"
)

// HMP returns the commands for people, and those of info.
func (s *Service) HMP() (commands, info []*hmp.Command) {
	names := func(netdevs bool) func(*hmp.Monitor, []string) []string {
		return func(_ *hmp.Monitor, words []string) (list []string) {
			if len(words) != 2 {
				return nil
			}
			for _, c := range s.Set.Clients() {
				if c.Index == 0 && (!netdevs || c.Netdev()) {
					list = append(list, c.Name)
				}
			}
			return list
		}
	}
	commands = []*hmp.Command{
		{Name: "netdev_add", Args: "netdev:O", Params: "[" + strings.Join(s.Set.KindNames(), "|") + "],id=str[,prop=value][,...]",
			Help: "add host network device", Preconfig: true, Run: s.hmpAdd},
		{Name: "netdev_del", Args: "id:s", Params: "id", Help: "remove host network device", Preconfig: true, Complete: names(true),
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.NetdevDel(m.Context(), &qapi.NetdevDelArg{Id: a.Text("id")})
			}},
		{Name: "set_link", Args: "name:s,up:b", Params: "name on|off", Help: "change the link status of a network adapter", Complete: names(false),
			Run: func(m *hmp.Monitor, a *hmp.Args) error {
				return s.SetLink(m.Context(), &qapi.SetLinkArg{Name: a.Text("name"), Up: a.Bool("up")})
			}},
		{Name: "announce_self", Args: "interfaces:s?,id:s?", Params: "[interfaces] [id]", Help: "Trigger GARP/RARP announcements", Run: s.hmpAnnounce},
	}
	info = []*hmp.Command{{Name: "network", Help: "show the network state", Run: s.hmpNetwork}}
	c, i := s.userHMP()
	return append(commands, c...), append(info, i...)
}

func (s *Service) hmpAdd(m *hmp.Monitor, a *hmp.Args) error {
	pairs := netdev.SplitOpts(a.Text("netdev"))
	if len(pairs) > 0 && pairs[0] == [2]string{"type", "help"} {
		m.Printf("%s", s.Set.Help())
		return nil
	}
	n, err := netdev.FromOpts(pairs)
	if err != nil {
		return err
	}
	return s.Set.Open(n)
}

func (s *Service) hmpAnnounce(m *hmp.Monitor, a *hmp.Args) error {
	p := s.Announcements()
	if list, ok := a.String("interfaces"); ok {
		p.Interfaces = strings.Split(list, ",")
	}
	if id, ok := a.String("id"); ok {
		p.Id = &id
	}
	return s.AnnounceSelf(m.Context(), &p)
}

func (s *Service) hmpNetwork(m *hmp.Monitor, _ *hmp.Args) error {
	for _, h := range s.Set.Hubs() {
		m.Printf("hub %d\n", h.ID)
		for _, c := range h.Clients() {
			m.Printf(" \\ %s", c.Name)
			if p := c.Peer(); p != nil {
				m.Printf(": ")
				printClient(m, p)
			} else {
				m.Printf("\n")
			}
		}
	}
	for _, c := range s.Set.Clients() {
		if c.InHub() {
			continue
		}
		p := c.Peer()
		if p == nil || c.IsNIC() {
			printClient(m, c)
		}
		if p != nil && c.IsNIC() {
			m.Printf(" \\ ")
			printClient(m, p)
		}
	}
	return nil
}

func printClient(m *hmp.Monitor, c *netdev.Client) {
	m.Printf("%s: index=%d,type=%s,%s\n", c.Name, c.Index, c.Type(), c.Info())
	list := c.Filters()
	if len(list) > 0 {
		m.Printf("filters:\n")
	}
	for _, f := range list {
		m.Printf("  - %s: type=%s%s\n", f.ID, f.Type, f.Info())
	}
}
