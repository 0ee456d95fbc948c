"""`python -m tests.compat.tenants <name>...`: accounts with credentials, printed as JSON.

"name:read-only" is a token of account `name` that may only look.
"""

from __future__ import annotations

import json
import sys


def main(names: list[str]) -> None:
    from workflows_app.engine.accounts import create_token
    from workflows_app.models import Account, Token

    made: dict[str, dict[str, str]] = {}
    for name in names:
        account_name, _, restriction = name.partition(":")
        account, _ = Account.objects.get_or_create(name=account_name)
        scope = Token.Scope.READ_ONLY if restriction else Token.Scope.FULL
        made[name] = {
            "accountId": account.public_id.hex,
            "token": create_token(account, name, scope),
            "currentKey": account.current_signing_key,
            "nextKey": account.next_signing_key,
        }
    sys.stdout.write(json.dumps(made))


if __name__ == "__main__":
    import django

    django.setup()
    main(sys.argv[1:])
