package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// group is a set of owners whose shared request failed, while it is found out whose users are the cause. An owner that
// changes its mind meanwhile belongs to it no more.
type group struct {
	search  *groupSearch
	members []*passenger
}

// newGroup holds the passengers of a request that failed, unless they have changed their minds. The caller holds the lock.
func newGroup(members []*passenger, answer alloy.Answer) *group {
	g := &group{members: members}
	switch {
	case answer.Outcome == alloy.TooLarge:
		g.search = newSplit(members, groupControls)
	case answer.MayPass():
		g.search = newSearch(members, userControls) // while the API fails as a whole it is not asked more than that
		g.search.passing = true
	default:
		g.search = newSearch(members, groupControls)
	}
	for _, member := range members {
		if t := member.ticket; t.lane == member.errand.lane && t.generation == member.errand.generation {
			t.group = g
		}
	}
	return g
}

// sift finds out which owner's users made a shared request fail. An owner is blamed, and told what the API says, only for a
// request in which nobody else was; until then nothing is said of any. It searches among the owners as one owner does among
// its users. When some of them alone fare no better, the API seems to take nothing at all, and the rest waits.
func (s *Sender) sift(p *pool, g *group, answer alloy.Answer) {
	for goOn := true; goOn && !g.search.isDone() && !g.search.isExhausted(); {
		rejection, ok := p.lane.enter(s.stop, nil)
		switch {
		case !ok:
			return // the sender stops
		case rejection != nil:
			answer, goOn = rejection.answer, false
		default:
			answer, goOn = s.try(p, g, answer)
		}
	}
	s.disband(g, unspoken(answer))
}

// try sends the next part of a group. It returns the last answer that was none for every owner, and whether to go on.
func (s *Sender) try(p *pool, g *group, before alloy.Answer) (answer alloy.Answer, goOn bool) {
	s.mu.Lock()
	part := g.search.next()
	f := g.form(p, part)
	if len(f.batch) == 0 { // they have changed their minds
		p.lane.leave(alloy.Answer{})
		s.release(g, part)
		g.search.gone()
		s.mu.Unlock()
		return before, true
	}
	s.mu.Unlock()
	answer = s.create(f)

	s.mu.Lock()
	understood, told := s.land(f, answer)
	if understood {
		s.release(g, part)
	}
	goOn = true
	switch {
	case answer.Outcome == alloy.Unauthorized, answer.Outcome == alloy.Deferred:
		goOn = false
	case speaksForAll(answer):
		answer = before
		g.search.accepted()
	case answer.Outcome == alloy.TooLarge:
		g.search.tooLarge()
	default:
		_, goOn = g.search.refused()
	}
	s.mu.Unlock()
	s.tell(told)
	return answer, goOn
}

// form makes a request of a part of the group: the same users as in the request that failed, if they are still wanted.
func (g *group) form(p *pool, part []*passenger) *flight {
	f := p.newFlight()
	for _, member := range part {
		t := member.ticket
		if t.group != g {
			continue
		}
		wanted := t.wanted()
		var list []users.User
		for _, user := range member.errand.batch {
			if wanted[user.Username] == user {
				list = append(list, user)
			}
		}
		f.board(t, t.errand(), list)
	}
	return f
}

// release lets members of a group go their own way.
func (s *Sender) release(g *group, members []*passenger) {
	for _, member := range members {
		if t := member.ticket; t.group == g {
			t.group = nil
			s.stir(t)
		}
	}
}

// disband ends a group. Those about whom nothing is known wait, without being told what the API said: a refusal may still be
// the doing of others, so that the search begins anew after a while.
func (s *Sender) disband(g *group, answer alloy.Answer) {
	s.mu.Lock()
	var told []ID
	for _, suspect := range g.members {
		t := suspect.ticket
		if t.group != g {
			continue
		}
		if g.search.isExhausted() || answer.Outcome == alloy.Refused || answer.Outcome == alloy.TooLarge {
			t.pause(suspect.errand, answer, time.Now().Add(s.options.SearchPause+spread(s.options.SearchPause)))
		} else {
			s.fail(t, suspect.errand, answer)
		}
		told = append(told, t.id)
	}
	s.release(g, g.members)
	s.mu.Unlock()
	s.tell(told)
}
