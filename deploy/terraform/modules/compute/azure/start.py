"""Fetches the lab's secrets with the group's identity, then becomes the lab: Container Instances can't inject them.

SECRETS names the variables and their addresses in the vault; nothing of a value is printed or kept.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

METADATA = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net"


def get(url, **headers):
    """The JSON at an address; the identity may take a while to be there."""
    for _ in range(30):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            print(f"start: {url.split('?')[0]} answers {error.code}", file=sys.stderr)
        except OSError as error:
            print(f"start: {url.split('?')[0]}: {error}", file=sys.stderr)
        time.sleep(5)
    sys.exit("start: the secrets can't be read: see the identity and its role on the vault")


token = get(f"{METADATA}&client_id={os.environ['AZURE_CLIENT_ID']}", Metadata="true")["access_token"]
for name, address in json.loads(os.environ.pop("SECRETS")).items():
    os.environ[name] = get(f"{address}?api-version=7.4", Authorization=f"Bearer {token}")["value"]
os.execvp(sys.argv[1], sys.argv[1:])
