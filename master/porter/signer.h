/* SPDX-License-Identifier: ISC */
/* Private keys that are not here: keyd signs with them. */
#ifndef MASTER_PORTER_SIGNER_H
#define MASTER_PORTER_SIGNER_H

typedef struct evp_pkey_st EVP_PKEY;

void signer_start(void); /* loads the built-in OpenSSL provider */
void signer_stop(void);
/* The private key that belongs to this public key, as OpenSSL sees it: its signatures are made by
 * keyd. The caller frees it; NULL when its kind is unknown. */
EVP_PKEY *signer_key(EVP_PKEY *public_key);

#endif
