/* SPDX-License-Identifier: ISC */
#include "smtpd/received.h"

#include "lib/mail/date.h"

const char *received_with(const struct received *r)
{
	if (!r->extended)
		return "SMTP";
	if (r->tls->on)
		return r->authenticated ? "ESMTPSA" : "ESMTPS";
	return r->authenticated ? "ESMTPA" : "ESMTP";
}

/* What the client called itself: its bytes, but none that could end a comment, a word or the
 * line. */
static void write_helo(const char *helo, struct text *out)
{
	for (; *helo; helo++) {
		bool fine = byte_is_alpha(*helo) || byte_is_digit(*helo) || *helo == '.' ||
		            *helo == '-' || *helo == '_' || *helo == ':' || *helo == '[' ||
		            *helo == ']';

		text_add_byte(out, fine ? *helo : '?');
	}
}

void received_write(const struct received *r, struct text *out)
{
	char literal[NET_ADDRESS_TEXT_MAX], date[DATE_TEXT_MAX];

	text_add_string(out, "Received: from ");
	write_helo(r->helo[0] ? r->helo : "unknown", out);
	text_add_string(out, " (");
	if (r->client_name[0]) {
		write_helo(r->client_name, out);
		text_add_byte(out, ' ');
	}
	text_format(out, "%s)\r\n\tby %s with %s id %s", net_address_literal(&r->client, literal),
	            r->host, received_with(r), r->id);
	if (r->tls->on)
		text_format(out, "\r\n\t(%s %s %u bits)", r->tls->version, r->tls->cipher,
		            r->tls->bits);
	if (r->recipient[0])
		text_format(out, "\r\n\tfor <%s>", r->recipient);
	text_format(out, ";\r\n\t%s\r\n",
	            date_mail((struct date){ r->when_s, date_local_zone(r->when_s) }, date));
}
