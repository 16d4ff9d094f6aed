# Programs, manual pages and systemd units into DESTDIR and PREFIX.

BINDIR := $(DESTDIR)$(PREFIX)/bin
MANDIR := $(DESTDIR)$(PREFIX)/share/man
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system

.PHONY: install uninstall
install: $(PROGRAMS)
	install -d $(BINDIR) $(MANDIR)/man1 $(MANDIR)/man8 $(UNITDIR)
	install -m 755 $(PROGRAMS) $(BINDIR)
	install -m 644 docs/man/*.1 $(MANDIR)/man1
	install -m 644 docs/man/*.8 $(MANDIR)/man8
	for unit in broker/hopmq-broker.service worker/hopmq-worker@.service; do \
	  sed 's|@PREFIX@|$(PREFIX)|g' $$unit > $(UNITDIR)/$${unit#*/}; \
	done
uninstall:
	rm -f $(PROGRAMS:$(BUILD)/%=$(BINDIR)/%) $(MANDIR)/man1/hopmq.1 $(MANDIR)/man8/hopmq-*.8 \
	  $(UNITDIR)/hopmq-broker.service $(UNITDIR)/hopmq-worker@.service
