package sender

import (
	"time"

	"github.com/embedded-user-operator/embedded-user-operator/internal/alloy"
	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// group is a set of owners whose shared request failed, while it is found out whose users are the cause. An owner that
// changes its mind meanwhile belongs to it no more.
type group struct {
	isolation *ownerIsolation
	members   []*share
}

// newGroup holds the shares of a request that failed, unless they have changed their minds. The caller holds the lock.
func newGroup(members []*share, answer alloy.Answer) *group {
	g := &group{members: members}
	switch {
	case answer.Outcome == alloy.TooLarge:
		g.isolation = newSplit(members, groupControls)
	case answer.MayPass():
		g.isolation = newIsolation(members, userControls) // while the API fails as a whole it is not asked more than that
		g.isolation.passing = true
	default:
		g.isolation = newIsolation(members, groupControls)
	}
	for _, member := range members {
		if t := member.owner; t.gate == member.attempt.gate && t.generation == member.attempt.generation {
			t.group = g
		}
	}
	return g
}

// isolate finds out which owner's users made a shared request fail. An owner is blamed, and told what the API says, only for a
// request in which nobody else was; until then nothing is said of any. It searches among the owners as one owner does among
// its users. When some of them alone fare no better, the API seems to take nothing at all, and the rest waits.
func (s *Sender) isolate(p *queue, g *group, answer alloy.Answer) {
	for goOn := true; goOn && !g.isolation.isDone() && !g.isolation.isExhausted(); {
		rejection, ok := p.gate.enter(s.stop, nil)
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
func (s *Sender) try(p *queue, g *group, before alloy.Answer) (answer alloy.Answer, goOn bool) {
	s.mu.Lock()
	part := g.isolation.next()
	f := g.form(p, part)
	if len(f.batch) == 0 { // they have changed their minds
		p.gate.leave(alloy.Answer{})
		s.release(g, part)
		g.isolation.gone()
		s.mu.Unlock()
		return before, true
	}
	s.mu.Unlock()
	answer = s.create(f)

	s.mu.Lock()
	understood, told := s.complete(f, answer)
	if understood {
		s.release(g, part)
	}
	goOn = true
	switch {
	case answer.Outcome == alloy.Unauthorized, answer.Outcome == alloy.Deferred:
		goOn = false
	case speaksForAll(answer):
		answer = before
		g.isolation.accepted()
	case answer.Outcome == alloy.TooLarge:
		g.isolation.tooLarge()
	default:
		_, goOn = g.isolation.refused()
	}
	s.mu.Unlock()
	s.tell(told)
	return answer, goOn
}

// form makes a request of a part of the group: the same users as in the request that failed, if they are still wanted.
func (g *group) form(p *queue, part []*share) *request {
	f := p.newRequest()
	for _, member := range part {
		t := member.owner
		if t.group != g {
			continue
		}
		wanted := t.wanted()
		var list []users.User
		for _, user := range member.attempt.batch {
			if wanted[user.Username] == user {
				list = append(list, user)
			}
		}
		f.add(t, t.attempt(), list)
	}
	return f
}

// release lets members of a group go their own way.
func (s *Sender) release(g *group, members []*share) {
	for _, member := range members {
		if t := member.owner; t.group == g {
			t.group = nil
			s.schedule(t)
		}
	}
}

// disband ends a group. Those about whom nothing is known wait, without being told what the API said: a refusal may still be
// the doing of others, so that the isolation begins anew after a while.
func (s *Sender) disband(g *group, answer alloy.Answer) {
	s.mu.Lock()
	var told []ID
	for _, suspect := range g.members {
		t := suspect.owner
		if t.group != g {
			continue
		}
		if g.isolation.isExhausted() || answer.Outcome == alloy.Refused || answer.Outcome == alloy.TooLarge {
			t.pause(suspect.attempt, answer, time.Now().Add(s.options.SearchPause+spread(s.options.SearchPause)))
		} else {
			s.fail(t, suspect.attempt, answer)
		}
		told = append(told, t.id)
	}
	s.release(g, g.members)
	s.mu.Unlock()
	s.tell(told)
}
